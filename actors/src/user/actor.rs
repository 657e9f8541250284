//! The actor of a user: takes messages in order, until the state rests.

use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime};

use super::{UserMessage, UserState, slots::Mail};

/// See the module.
#[derive(Debug)]
pub struct UserActor;

/// What an actor holds: the state of its user, until that rests.
#[derive(Debug)]
pub struct Desk(Option<Box<UserState>>);

/// Starts the actor of a user.
pub(super) fn spawn(state: Box<UserState>) -> ActorRef<Mail> {
    let supervisor = state.context.people.read().clone().expect("the hub starts its supervisors first");
    let spawned = ActorRuntime::spawn_linked_instant(None, UserActor, state, supervisor);
    spawned.expect("an actor without a name can always be spawned").0
}

impl Actor for UserActor {
    type Msg = Mail;
    type State = Desk;
    type Arguments = Box<UserState>;

    async fn pre_start(&self, me: ActorRef<Mail>, mut state: Box<UserState>) -> Result<Desk, ActorProcessingErr> {
        state.me = Some(me);
        Ok(Desk(Some(state)))
    }

    async fn handle(
        &self,
        me: ActorRef<Mail>,
        Mail { queued, message }: Mail,
        desk: &mut Desk,
    ) -> Result<(), ActorProcessingErr> {
        // Once the state rests, only timers that were set long ago may come, and those who observe.
        let Some(state) = &mut desk.0 else { return Ok(()) };
        if matches!(message, UserMessage::Rest) {
            desk.rest(&me);
        } else {
            state.take(message);
        }
        drop(queued);
        if desk.0.as_ref().is_some_and(|state| state.is_needless() && state.context.users.retire(state.user)) {
            // Only timers may still be queued, and those who observe.
            let _ = me.drain();
        }
        Ok(())
    }
}

impl Desk {
    /// Gives the state to the slots and ends the actor, unless more is queued or a timer runs. Whoever nobody needs does
    /// not rest, as nothing might ever wake such a user, but leaves memory.
    fn rest(&mut self, me: &ActorRef<Mail>) {
        let Some(mut state) = self.0.take_if(|state| state.may_rest() && !state.is_needless()) else { return };
        // What still refers to the actor keeps its mailbox in memory.
        state.me = None;
        let context = state.context.clone();
        match context.users.rest(state.user, state) {
            Ok(()) => me.stop(None),
            Err(mut state) => {
                state.me = Some(me.clone());
                self.0 = Some(state);
            }
        }
    }
}
