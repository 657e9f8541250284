//! The rules of placement: every change of an owner, and every new activation, is a new epoch.

use hubbub_protocol::{ids::Epoch, shard::ShardId};

use super::{
    apply::Ruling,
    command::{Answer, Refusal},
    place::{MOVES_MAX, Place, ShardMove},
    state::Control,
};

impl Control {
    pub(super) fn assign(&mut self, moves: &[ShardMove]) -> Ruling {
        self.each(moves, |control, shard_move| {
            let to = shard_move.to;
            if let Some(shard) = control.shard_mut(shard_move.shard) {
                *shard = shard.given_to(to);
            }
        })
    }

    pub(super) fn begin_moves(&mut self, moves: &[ShardMove]) -> Ruling {
        self.each(moves, |control, shard_move| {
            if let Some(shard) = control.shard_mut(shard_move.shard) {
                let to = shard_move.to;
                shard.place = if shard.owner == to { Place::Stable } else { Place::Moving { to } };
            }
        })
    }

    /// Makes the moves that still name the shard's epoch and go to a node that takes shards.
    fn each(&mut self, moves: &[ShardMove], make: impl Fn(&mut Self, &ShardMove)) -> Ruling {
        if moves.len() > MOVES_MAX {
            return Err(Refusal::TooMany("moves".into()));
        }
        let mut moved = 0;
        for shard_move in moves {
            let at_epoch = self.shard(shard_move.shard).is_some_and(|shard| shard.epoch == shard_move.epoch);
            if at_epoch && self.takes_shards(shard_move.to) {
                make(self, shard_move);
                moved += 1;
            }
        }
        if moved > 0 {
            self.map_changed();
        }
        Ok(Answer::Moved { moves: moved })
    }

    /// When the owner to be takes no shards any more, the shard stays, and the answer says that nothing moved.
    pub(super) fn finish_move(&mut self, shard: ShardId, epoch: Epoch) -> Ruling {
        let place = *self.shard(shard).filter(|place| place.epoch == epoch).ok_or(Refusal::NotMoving)?;
        let Place::Moving { to } = place.place else { return Err(Refusal::NotMoving) };
        let takes = self.takes_shards(to);
        if let Some(slot) = self.shard_mut(shard) {
            *slot = if takes { place.given_to(to) } else { super::ShardPlace { place: Place::Stable, ..place } };
        }
        self.map_changed();
        Ok(Answer::Moved { moves: u32::from(takes) })
    }

    pub(super) fn cancel_move(&mut self, shard: ShardId, epoch: Epoch) -> Ruling {
        let place = self.shard_mut(shard).filter(|place| place.epoch == epoch).ok_or(Refusal::NotMoving)?;
        if place.place == Place::Stable {
            return Err(Refusal::NotMoving);
        }
        place.place = Place::Stable;
        self.map_changed();
        Ok(Answer::Done)
    }
}
