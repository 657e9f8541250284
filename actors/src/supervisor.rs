//! The supervisor of users and sessions: one that dies is cleared away, and its client resumes.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use crate::context::{Context, Counters};

/// The mailbox of the supervisor of users and sessions.
#[derive(Debug)]
pub enum PeopleMessage {
    /// Tells how the supervisor stands.
    Observe(RpcReplyPort<PeopleStatus>),
}

/// How the supervisor of users and sessions stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeopleStatus {
    /// Users and sessions that failed since the start.
    pub failed: u64,
}

/// Stands over users and sessions.
#[derive(Debug)]
pub struct PeopleActor;

/// The state of the supervisor of users and sessions.
#[derive(Debug)]
pub struct PeopleState {
    context: Arc<Context>,
    failed: u64,
}

impl Actor for PeopleActor {
    type Msg = PeopleMessage;
    type State = PeopleState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        _me: ActorRef<PeopleMessage>,
        context: Arc<Context>,
    ) -> Result<PeopleState, ActorProcessingErr> {
        Ok(PeopleState { context, failed: 0 })
    }

    async fn handle(
        &self,
        _me: ActorRef<PeopleMessage>,
        PeopleMessage::Observe(reply): PeopleMessage,
        state: &mut PeopleState,
    ) -> Result<(), ActorProcessingErr> {
        drop(reply.send(PeopleStatus { failed: state.failed }));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<PeopleMessage>,
        event: SupervisionEvent,
        state: &mut PeopleState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, error) = event {
            state.failed += 1;
            Counters::add(&state.context.counters.actors_failed, 1);
            tracing::error!(%error, "a user or session failed; its client resumes");
            state.context.users.ended(cell.get_id());
            state.context.sessions.ended(cell.get_id());
        }
        Ok(())
    }
}
