//! Somebody who is thrown out again and again, and comes back: what is handed on after the answer to a kick is a leak.
//!
//! The kick goes to another node than the outcast's, and the node changes each time. Times are comparable since
//! everything runs on one clock: an event's `ts` is when its owner took it in.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hubbub_client::{Client, Update, Updates, rest::Rest};
use hubbub_protocol::{
    ids::{RoomId, Seq, UserId},
    op::Mode,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    members::Members,
    people::Shared,
    recorder::now_ms,
    stage::{Stage, config},
};

/// What may still come while nodes are cut off from each other, by the contract.
const WHILE_BROKEN_MS: u64 = 2_000;
/// How long an outcast stays out, and in.
const OUT: Duration = Duration::from_millis(3_500);
const IN: Duration = Duration::from_millis(1_500);
/// How long coming back may take.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// Most events that are kept between two kicks: all rooms, at ten times what people send.
const KEPT_MAX: usize = 10_000;

/// What came, by room and the time it was taken in.
type Came = Arc<Mutex<Vec<(RoomId, Seq, u64)>>>;

/// The outcast, with who throws it out.
#[derive(Debug)]
pub struct Outcast {
    members: Arc<Members>,
    shared: Arc<Shared>,
    stage: Stage,
    user: UserId,
    home: usize,
    rest: Rest,
    client: Client,
    came: Came,
}

impl Outcast {
    /// Makes an account that follows every room from `home`.
    ///
    /// # Errors
    /// What a node refused.
    pub async fn begin(
        members: &Arc<Members>,
        stage: &Stage,
        shared: &Arc<Shared>,
        home: usize,
    ) -> anyhow::Result<Self> {
        let url = members.url(home);
        let signed = stage.person(&url, &format!("outcast-{home}")).await?;
        let (user, rest) = (signed.user.id, Rest::new(&url).with_token(&signed.access_token));
        let (client, updates) = Client::connect(config(&url, signed)).await?;
        let came = Came::default();
        tokio::spawn(keep(updates, came.clone()));
        let (members, shared, stage) = (members.clone(), shared.clone(), stage.clone());
        let outcast = Self { members, shared, stage, user, home, rest, client, came };
        outcast.follow_all().await;
        Ok(outcast)
    }

    /// Is thrown out and comes back until `over`; returns how often.
    pub async fn suffer(self, over: watch::Receiver<bool>) -> u64 {
        let mut kicks = 0;
        let mut at = self.home;
        while !*over.borrow() {
            sleep(IN).await;
            at = (at + 1) % self.members.len();
            let path = format!("/v1/communities/{}/members/{}", self.stage.community, self.user);
            // One that is not answered says nothing, and may have happened.
            if self.stage.owner_at(&self.members.url(at)).delete(&path).await.is_ok() {
                let answered_ms = now_ms();
                sleep(OUT).await;
                self.judge(answered_ms, at);
                kicks += 1;
            }
            self.come_back().await;
        }
        kicks
    }

    fn judge(&self, answered_ms: u64, at: usize) {
        let came = std::mem::take(&mut *self.came.lock().expect("nobody panics with the list in hand"));
        let allowed_ms = if self.shared.broken_since(answered_ms) { WHILE_BROKEN_MS } else { 0 };
        let leaks: Vec<_> = came.iter().filter(|(.., ts)| *ts > answered_ms + allowed_ms).collect();
        if let Some((room, seq, ts)) = leaks.iter().max_by_key(|(.., ts)| ts) {
            self.shared.trouble(format!(
                "invariant 21: the outcast at n{} was handed {} events after n{at} had answered its kick; the last, {seq} \
                 of {room}, was taken in {} ms after the answer, {}",
                self.home,
                leaks.len(),
                ts - answered_ms,
                self.shared.after_what(),
            ));
        }
    }

    async fn come_back(&self) {
        let until = Instant::now() + BACK_WITHIN;
        while self.rest.join(self.stage.community).await.is_err() {
            if Instant::now() > until {
                return self.shared.trouble(format!("the outcast at n{} cannot be taken in again", self.home));
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.follow_all().await;
    }

    /// From now on; a room that cannot be followed now is tried when it is back the next time.
    async fn follow_all(&self) {
        for room in &self.stage.rooms {
            let _ = self.client.subscribe(*room, None, Mode::Live).await;
        }
    }
}

async fn keep(mut updates: Updates, came: Came) {
    while let Some(update) = updates.next().await {
        if let Update::Event(event, _) = update {
            let mut came = came.lock().expect("nobody panics with the list in hand");
            if came.len() < KEPT_MAX {
                came.push((event.room, event.seq, u64::try_from(event.ts.0).unwrap_or(0)));
            }
        }
    }
}
