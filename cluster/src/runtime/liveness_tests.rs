//! Who is judged what, on values.

use super::*;
use crate::control::{
    Command, Control,
    samples::{self, apply},
};

const LEADER: NodeId = NodeId(1);

/// A leader and `others` members that are up, with the silence that the leader itself hears.
struct Scene {
    control: Control,
    liveness: Liveness,
    timing: RuntimeTiming,
    now: Instant,
    silent: BTreeMap<NodeId, Duration>,
}

fn node(number: u64) -> NodeId {
    NodeId(18 + number)
}

fn beat(unreachable: &[NodeId]) -> Heartbeat {
    let unreachable = unreachable.to_vec();
    Heartbeat { incarnation: 1, map_version: 1, storage_ok: true, unreachable, load: super::super::Load::default() }
}

impl Scene {
    fn of(others: u64) -> Self {
        let mut control = Control::default();
        apply(&mut control, 10, samples::found());
        apply(&mut control, 11, samples::create_token(5, 30));
        for number in 2..=others + 1 {
            apply(&mut control, 18 + number, samples::join(5, u8::try_from(number).expect("small")));
            apply(&mut control, 99, samples::up(18 + number));
        }
        let now = Instant::now();
        let timing = RuntimeTiming::default();
        Self { control, liveness: Liveness::new(now), timing, now, silent: BTreeMap::new() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn beats(&mut self, from: NodeId, unreachable: &[NodeId]) {
        self.liveness.heard(from, beat(unreachable), self.now);
    }

    fn set(&mut self, node: NodeId, state: MemberState) {
        apply(&mut self.control, 100, Command::SetState { node, incarnation: 1, state });
    }

    fn verdicts(&mut self) -> Vec<(NodeId, MemberState)> {
        let (map, silent) = (Map::of(&self.control), &self.silent);
        let silence = |node| silent.get(&node).copied().unwrap_or_default();
        let view = View { me: LEADER, now: self.now, map: &map, timing: &self.timing, silence: &silence };
        let verdicts = self.liveness.verdicts(&view);
        verdicts.into_iter().map(|verdict| (verdict.node, verdict.state)).collect()
    }
}

const LONG: Duration = Duration::from_millis(1_500);

#[test]
fn a_silent_node_is_down_early_when_the_other_peer_of_three_misses_it_too() {
    let mut scene = Scene::of(2);
    scene.silent.insert(node(3), LONG);
    assert_eq!(scene.verdicts(), [], "nobody else misses it");
    scene.beats(node(2), &[node(3)]);
    assert_eq!(scene.verdicts(), [(node(3), MemberState::Down)], "also right after an election");
    scene.silent.insert(node(3), LONG / 2);
    assert_eq!(scene.verdicts(), [], "the leader hears it");
}

#[test]
fn in_a_larger_cluster_two_peers_must_miss_it_and_the_word_of_the_dead_does_not_count() {
    let mut scene = Scene::of(4);
    scene.silent.insert(node(5), LONG);
    scene.beats(node(2), &[node(5)]);
    assert_eq!(scene.verdicts(), []);
    scene.beats(node(3), &[node(5)]);
    assert_eq!(scene.verdicts(), [(node(5), MemberState::Down)]);

    // Two of four others die at once: only two are left to be asked, and both are needed.
    let mut scene = Scene::of(4);
    scene.silent.insert(node(4), LONG);
    scene.silent.insert(node(5), LONG);
    scene.beats(node(2), &[node(4), node(5)]);
    assert_eq!(scene.verdicts(), []);
    scene.beats(node(3), &[node(4), node(5)]);
    assert_eq!(scene.verdicts(), [(node(4), MemberState::Down), (node(5), MemberState::Down)]);
}

#[test]
fn a_leader_that_hears_nobody_gives_nobody_up_early() {
    let mut scene = Scene::of(2);
    for number in [2, 3] {
        scene.beats(node(number), &[]);
        scene.silent.insert(node(number), LONG * 2);
    }
    assert_eq!(scene.verdicts(), []);
}

#[test]
fn without_a_heartbeat_a_node_is_down_late_counted_from_the_election_or_the_waking() {
    let mut scene = Scene::of(1);
    scene.pass(Duration::from_millis(5_900));
    assert_eq!(scene.verdicts(), []);
    scene.liveness.forgive(scene.now);
    scene.pass(Duration::from_millis(5_900));
    assert_eq!(scene.verdicts(), [], "what was not heard asleep says nothing");
    scene.pass(Duration::from_millis(100));
    assert_eq!(scene.verdicts(), [(node(2), MemberState::Down)]);
    scene.set(node(2), MemberState::Down);
    assert_eq!(scene.verdicts(), []);
    scene.beats(node(2), &[]);
    assert_eq!(scene.verdicts(), [(node(2), MemberState::Joining)]);
}

#[test]
fn a_node_that_joins_serves_once_it_has_been_well_for_a_while() {
    let mut scene = Scene::of(2);
    scene.set(node(3), MemberState::Down);
    scene.set(node(3), MemberState::Joining);
    for _ in 0..2 {
        scene.beats(node(2), &[]);
        scene.beats(node(3), &[]);
        assert_eq!(scene.verdicts(), []);
        scene.pass(Duration::from_millis(700));
    }
    scene.beats(node(3), &[]);
    assert_eq!(scene.verdicts(), [(node(3), MemberState::Up)]);
    // Not while most peers do not hear it, or it does not hear them.
    scene.beats(node(3), &[node(2), LEADER]);
    assert_eq!(scene.verdicts(), []);
}

#[test]
fn a_node_with_broken_storage_drains_and_comes_back_unless_it_was_asked_to_leave() {
    let mut scene = Scene::of(2);
    let broken = Heartbeat { storage_ok: false, ..beat(&[]) };
    for _ in 0..4 {
        scene.beats(node(2), &[]);
        scene.liveness.heard(node(3), broken.clone(), scene.now);
        assert_eq!(scene.verdicts(), []);
        scene.pass(Duration::from_millis(800));
    }
    scene.liveness.heard(node(3), broken, scene.now);
    assert_eq!(scene.verdicts(), [(node(3), MemberState::Draining)]);
    scene.set(node(3), MemberState::Draining);
    let healed = |scene: &mut Scene| {
        for _ in 0..11 {
            scene.beats(node(2), &[]);
            scene.beats(node(3), &[]);
            scene.verdicts();
            scene.pass(Duration::from_secs(1));
        }
        scene.beats(node(2), &[]);
        scene.beats(node(3), &[]);
        scene.verdicts()
    };
    assert_eq!(healed(&mut scene), [(node(3), MemberState::Up)]);
    apply(&mut scene.control, 100, Command::Leave { node: node(3), leaving: true });
    assert_eq!(healed(&mut scene), []);
}

#[test]
fn a_heartbeat_of_an_earlier_start_says_nothing() {
    let mut scene = Scene::of(2);
    scene.set(node(3), MemberState::Down);
    let old = Heartbeat { incarnation: 0, ..beat(&[]) };
    scene.liveness.heard(node(3), old, scene.now);
    assert_eq!(scene.verdicts(), []);
}
