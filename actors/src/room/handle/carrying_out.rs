//! What another node, or a queue of this one, asks of a room that is here.

use std::sync::Arc;

use hubbub_protocol::{
    error::Refusal,
    ids::RoomId,
    rest::{Changed, Sent, Thread},
};
use tokio::sync::oneshot;

use super::{answered, ask_here};
use crate::{
    answer::Answer,
    context::Context,
    room::{
        actor::Ask,
        asked::{self, Asked, Given},
    },
};

/// Carries out what another node, or a queue of this one, asks of a room that is here; in order, each answered.
pub(crate) async fn carry_out(context: &Arc<Context>, room: RoomId, asks: Vec<Asked>) -> Vec<Given> {
    let mut given = Vec::with_capacity(asks.len());
    for asked in asks {
        given.push(begin(context, room, asked).await);
    }
    let given = given.into_iter().map(|given| async move {
        match given {
            Ok(given) => given.await,
            Err(refusal) => Given::refused(&refusal),
        }
    });
    futures_util::future::join_all(given).await
}

type Settling = futures_util::future::BoxFuture<'static, Given>;

/// Asks the room's actor; what it gives is awaited apart.
async fn begin(context: &Arc<Context>, room: RoomId, asked: Asked) -> Result<Settling, Refusal> {
    let rights = async |user| context.directory.access(user, room).await;
    Ok(match asked {
        Asked::Post { caller, post } => {
            let access = rights(caller.user).await?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Post { caller, access, post, answer });
            settling(wait, |Sent { seq, ts, repeat }| Given::Sent { seq, ts, repeat })
        }
        Asked::Change { caller, seq, change } => {
            let access = rights(caller.user).await?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Change { caller, access, seq, change, answer });
            settling(wait, |changed| match changed {
                Changed::Event { event_seq } => Given::Changed(Some(event_seq)),
                Changed::Repeat { .. } => Given::Changed(None),
            })
        }
        Asked::Thread { by, seq, thread } => {
            let access = rights(by).await?;
            let thread = asked::thread_facts(&thread)?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Thread { access, seq, thread, by, answer });
            settling(wait, |Thread { room, created }| Given::Thread { room, created })
        }
        Asked::Record { body, effects } => {
            let (by, body, effects) = asked::record_of(&body, &effects)?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Record { by, body, effects, answer });
            settling(wait, Given::Seq)
        }
        Asked::Archive { first, events, effects } => {
            let (events, effects) = asked::archive_of(&events, &effects)?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::ArchiveAt { first, events, effects, answer });
            settling(wait, Given::Seq)
        }
    })
}

fn settling<T: Send + 'static>(
    wait: oneshot::Receiver<Result<T, Refusal>>,
    given: impl FnOnce(T) -> Given + Send + 'static,
) -> Settling {
    Box::pin(async move { answered(wait).await.map_or_else(|refusal| Given::refused(&refusal), given) })
}
