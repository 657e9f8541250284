//! The rules of placement: every change of an owner, and every new activation, is a new epoch.

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};

use super::{
    apply::Ruling,
    command::{Answer, Refusal},
    place::{FLOOR_MAX, MOVES_MAX, Place, Renewal, ShardMove, ShardPlace},
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
        let moved = self.end_move(shard, epoch).ok_or(Refusal::NotMoving)?;
        self.map_changed();
        Ok(Answer::Moved { moves: u32::from(moved) })
    }

    /// Those that are not on their way, or not at that epoch, are left alone.
    pub(super) fn finish_moves(&mut self, shards: &[(ShardId, Epoch)]) -> Ruling {
        if shards.len() > MOVES_MAX {
            return Err(Refusal::TooMany("moves".into()));
        }
        let ended: Vec<bool> = shards.iter().filter_map(|(shard, epoch)| self.end_move(*shard, *epoch)).collect();
        if !ended.is_empty() {
            self.map_changed();
        }
        let moves = ended.into_iter().filter(|moved| *moved).count();
        Ok(Answer::Moved { moves: u32::try_from(moves).unwrap_or(u32::MAX) })
    }

    /// Whether the shard went to its owner to be; `None` when it was not on its way at `epoch`.
    fn end_move(&mut self, shard: ShardId, epoch: Epoch) -> Option<bool> {
        let place = *self.shard(shard).filter(|place| place.epoch == epoch)?;
        let Place::Moving { to } = place.place else { return None };
        let takes = self.takes_shards(to);
        *self.shard_mut(shard)? =
            if takes { place.given_to(to) } else { ShardPlace { place: Place::Stable, ..place } };
        Some(takes)
    }

    /// A shard on its way stays at its epoch: its owner admits nothing more under any.
    pub(super) fn renew(&mut self, node: NodeId, shards: &[Renewal]) -> Ruling {
        if shards.len() > MOVES_MAX {
            return Err(Refusal::TooMany("renewals".into()));
        }
        let mut renewed = 0;
        for renewal in shards.iter().filter(|renewal| renewal.floor <= FLOOR_MAX) {
            let place = self.shard_mut(renewal.shard).filter(|place| {
                place.owner == node && place.epoch == renewal.epoch && place.place == Place::Stable
            });
            if let Some(place) = place {
                place.epoch = renewal.renewed();
                renewed += 1;
            }
        }
        if renewed > 0 {
            self.map_changed();
        }
        Ok(Answer::Moved { moves: renewed })
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
