//! Carries a plan out: finds the node it means, breaks, waits, heals, and sees that what was broken is well again.

use std::time::Duration;

use hubbub_protocol::ids::RoomId;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};

use super::{
    cuts::forbidden,
    members::{Members, READY_WITHIN},
    people::Shared,
    plan::{Fault, Step, Whom},
};

/// Shortest time between the end of a fault and the next, when one took longer to end than was planned.
const BETWEEN: Duration = Duration::from_millis(1_500);

/// What struck, and what did not come back.
#[derive(Debug, Default)]
pub struct Struck {
    /// Faults that struck.
    pub faults: u64,
    /// What went wrong besides: a node that did not end, or did not come back.
    pub troubles: Vec<String>,
}

/// Carries `plan` out, from now on; says each fault on `tell`.
pub async fn strike(
    members: &Members,
    rooms: &[RoomId],
    shared: &Shared,
    plan: &[Step],
    tell: impl Fn(&str),
) -> Struck {
    let begun = Instant::now();
    let mut healed_at = begun;
    let mut struck = Struck::default();
    for step in plan {
        sleep_until((begun + step.at).max(healed_at + BETWEEN)).await;
        let node = aim(members, rooms, step).await;
        let at = begun.elapsed().as_secs_f64();
        let held = step.held.as_millis();
        let fault = format!("{at:6.1} s  {}: n{node}, for {held} ms", step.fault);
        tell(&fault);
        shared.breaks(&fault);
        let done = carry_out(members, step, node).await;
        // Nobody waits for the next fault with something still broken.
        let healed = members.lab.heal();
        shared.is_whole();
        healed_at = Instant::now();
        match done.and(healed) {
            Ok(()) => struck.faults += 1,
            Err(error) => struck.troubles.push(format!("after {} of n{node} at {at:.1} s: {error:#}", step.fault)),
        }
    }
    struck
}

/// The node that a fault means; any that runs when there is none such.
async fn aim(members: &Members, rooms: &[RoomId], step: &Step) -> usize {
    let pick = |from: usize| usize::try_from(step.pick % from.max(1) as u64).unwrap_or(0);
    let whom = match step.fault {
        Fault::Kill(whom) | Fault::Pause(whom) | Fault::Cut(_, whom) => whom,
        Fault::DatabaseCrash | Fault::Rolling => Whom::Any,
    };
    let node = match whom {
        Whom::Owner if !rooms.is_empty() => members.owner(rooms[pick(rooms.len())]).await,
        Whom::Leader => members.leader().await,
        Whom::Owner | Whom::Any => None,
    };
    node.unwrap_or_else(|| pick(members.len()))
}

async fn carry_out(members: &Members, step: &Step, node: usize) -> anyhow::Result<()> {
    match step.fault {
        Fault::Kill(_) => {
            members.kill(node);
            sleep(step.held).await;
            members.start(node)?;
            members.ready_within(node, READY_WITHIN).await
        }
        Fault::Pause(_) => {
            members.pause(node)?;
            sleep(step.held).await;
            members.go_on(node)?;
            members.ready_within(node, READY_WITHIN).await
        }
        Fault::Cut(cut, _) => {
            members.lab.cut(&forbidden(cut, node, members.len()))?;
            sleep(step.held).await;
            members.lab.heal()?;
            members.ready_within(node, READY_WITHIN).await
        }
        Fault::DatabaseCrash => crash(members, step.held).await,
        Fault::Rolling => rolling(members).await,
    }
}

async fn crash(members: &Members, held: Duration) -> anyhow::Result<()> {
    // The server's script is waited for beside the people.
    let (crashing, starting) = (members.server.clone(), members.server.clone());
    spawn_blocking(move || crashing.crash()).await?;
    sleep(held).await;
    spawn_blocking(move || starting.start_again()).await?;
    for node in 0..members.len() {
        members.ready_within(node, READY_WITHIN).await?;
    }
    Ok(())
}

/// Restarts one node after the other, each when the one before is ready again.
///
/// # Errors
/// When a node does not end in good order, or does not come back.
pub async fn rolling(members: &Members) -> anyhow::Result<()> {
    for node in 0..members.len() {
        members.stop(node).await?;
        members.start(node)?;
        members.ready_within(node, READY_WITHIN).await?;
    }
    Ok(())
}
