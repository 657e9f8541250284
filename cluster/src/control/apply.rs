//! Carrying a command out: the rules of the control plane.

use hubbub_protocol::ids::NodeId;

use super::{
    command::{Answer, Command, Refusal, Request, RequestId},
    member::MemberState,
    state::{Answered, CELLS_MAX, Cell, Control, PROPOSERS_MAX, SETTING_BYTES_MAX, SETTINGS_MAX},
    token::{TOKENS_MAX, Token, TokenId, USES_MAX},
};

/// What a rule says: the answer, or why nothing was changed.
pub(super) type Ruling = Result<Answer, Refusal>;

impl Control {
    /// Carries out the requests of one log entry, in order, and answers each. `index` is the entry's place in the log.
    pub fn apply(&mut self, index: u64, requests: Vec<Request>) -> Vec<Answer> {
        let mut joined = false;
        requests.into_iter().map(|request| self.apply_one(index, request, &mut joined)).collect()
    }

    fn apply_one(&mut self, index: u64, request: Request, joined: &mut bool) -> Answer {
        if let Some(known) = request.id.and_then(|id| self.answer_of(id)) {
            return known;
        }
        let joins = matches!(request.command, Command::Join { .. } | Command::Found { .. });
        if joins && *joined {
            return Answer::Refused(Refusal::OneJoinAnEntry);
        }
        *joined |= joins;
        let answer = self.decide(index, request.command).unwrap_or_else(Answer::Refused);
        if let Some(id) = request.id {
            self.remember(id, &answer, index);
        }
        answer
    }

    /// The answer to a request that was answered before.
    fn answer_of(&self, id: RequestId) -> Option<Answer> {
        let last = self.answered.get(&id.proposer)?;
        match id.n.cmp(&last.n) {
            std::cmp::Ordering::Less => Some(Answer::Refused(Refusal::OutOfDate)),
            std::cmp::Ordering::Equal => Some(last.answer.clone()),
            std::cmp::Ordering::Greater => None,
        }
    }

    fn remember(&mut self, id: RequestId, answer: &Answer, index: u64) {
        self.answered.insert(id.proposer, Answered { n: id.n, answer: answer.clone(), index });
        while self.answered.len() > PROPOSERS_MAX {
            let silent = self.answered.iter().min_by_key(|(proposer, last)| (last.index, **proposer));
            let Some(silent) = silent.map(|(proposer, _)| *proposer) else { return };
            self.answered.remove(&silent);
        }
    }

    fn decide(&mut self, index: u64, command: Command) -> Ruling {
        let founding = matches!(command, Command::Found { .. });
        if !founding && !self.is_founded() {
            return Err(Refusal::NotFounded);
        }
        if !founding && command.since() > self.active_version {
            return Err(Refusal::Version(command.since()));
        }
        match command {
            Command::Found { cluster, shard_bits, version, ca, founder } => {
                self.found(cluster, shard_bits, version, ca, founder)
            }
            Command::Join { token, node, now_ms } => self.join(NodeId(index), token, node, now_ms),
            Command::Register { node, incarnation, addresses, versions } => {
                self.register(node, incarnation, addresses, versions)
            }
            Command::SetState { node, incarnation, state } => self.set_state(node, incarnation, state),
            Command::Remove { node } => self.remove(node),
            Command::CreateToken { id, token, now_ms } => self.create_token(id, token, now_ms),
            Command::DropToken { id } => self.drop_token(id),
            Command::Assign { moves } => self.assign(&moves),
            Command::BeginMoves { moves } => self.begin_moves(&moves),
            Command::FinishMove { shard, epoch } => self.finish_move(shard, epoch),
            Command::CancelMove { shard, epoch } => self.cancel_move(shard, epoch),
            Command::Configure { version, changes } => self.configure(version, changes),
            Command::Unused => Err(Refusal::Wrong("command".into())),
            Command::SetCell { cell, reference, generation } => self.set_cell(cell, reference, generation),
            Command::Finalize { version } => self.finalize(version),
            Command::Renew { node, shards } => self.renew(node, &shards),
            Command::FinishMoves { shards } => self.finish_moves(&shards),
            Command::Leave { node, leaving } => self.leave(node, leaving),
        }
    }

    fn create_token(&mut self, id: TokenId, token: Token, now_ms: u64) -> Ruling {
        if self.tokens.contains_key(&id) {
            return Err(Refusal::TokenExists);
        }
        if !(1..=USES_MAX).contains(&token.uses_left) {
            return Err(Refusal::Wrong("number of uses".into()));
        }
        self.tokens.retain(|_, token| now_ms < token.expires_ms);
        if self.tokens.len() >= TOKENS_MAX {
            return Err(Refusal::TooMany("tokens".into()));
        }
        self.tokens.insert(id, token);
        Ok(Answer::Done)
    }

    fn drop_token(&mut self, id: TokenId) -> Ruling {
        self.tokens.remove(&id).map(|_| Answer::Done).ok_or(Refusal::TokenRefused)
    }

    fn configure(&mut self, version: u64, changes: std::collections::BTreeMap<String, Option<String>>) -> Ruling {
        if version != self.settings.version {
            return Err(Refusal::ConfigChanged(self.settings.version));
        }
        let size =
            |(name, value): (&String, &Option<String>)| name.len().max(value.as_ref().map_or(0, String::len));
        if changes.iter().map(size).any(|bytes| bytes > SETTING_BYTES_MAX) {
            return Err(Refusal::Wrong("length of a setting".into()));
        }
        let mut values = self.settings.values.clone();
        for (name, value) in changes {
            match value {
                Some(value) => values.insert(name, value),
                None => values.remove(&name),
            };
        }
        if values.len() > SETTINGS_MAX {
            return Err(Refusal::TooMany("settings".into()));
        }
        self.settings.values = values;
        self.settings.version += 1;
        Ok(Answer::Done)
    }

    fn set_cell(&mut self, cell: u16, reference: String, generation: u64) -> Ruling {
        let known = self.cells.get(&cell);
        if known.is_none() && self.cells.len() >= CELLS_MAX {
            return Err(Refusal::TooMany("databases".into()));
        }
        if known.is_some_and(|known| generation < known.generation) || reference.len() > SETTING_BYTES_MAX {
            return Err(Refusal::Wrong("generation or reference".into()));
        }
        self.cells.insert(cell, Cell { reference, generation });
        Ok(Answer::Done)
    }

    /// A node that is down counts too: it would not understand the others when it comes back.
    fn finalize(&mut self, version: u32) -> Ruling {
        let spoken = self.members.values().all(|member| member.about.versions.holds(version));
        if version < self.active_version || !spoken {
            return Err(Refusal::Version(version));
        }
        self.active_version = version;
        self.map_changed();
        Ok(Answer::Done)
    }

    pub(super) const fn map_changed(&mut self) {
        self.map_version += 1;
    }

    /// Whether `node` may be given shards.
    pub(super) fn takes_shards(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(super::Member::takes_shards)
    }

    pub(super) fn state_of(&self, node: NodeId) -> Result<MemberState, Refusal> {
        self.members.get(&node).map(|member| member.state).ok_or(Refusal::NoSuchNode(node))
    }
}
