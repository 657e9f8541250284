//! What a cut forbids: pairs of who speaks and who no longer hears.

use super::plan::Cut;

/// A place in the lab's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A node, from 0.
    Node(usize),
    /// The database.
    Database,
}

/// What is let through no more when `node` of `nodes` is cut off by `cut`. Clients reach every node throughout: a node
/// that answers them and nobody else is the worst case.
#[must_use]
pub fn forbidden(cut: Cut, node: usize, nodes: usize) -> Vec<(Place, Place)> {
    let own = Place::Node(node);
    let peers = (0..nodes).filter(|other| *other != node).map(Place::Node);
    let (outward, inward): (Vec<_>, Vec<_>) = peers.map(|other| ((own, other), (other, own))).unzip();
    let database = vec![(own, Place::Database), (Place::Database, own)];
    match cut {
        Cut::Off => [outward, inward, database].concat(),
        Cut::Peers => [outward, inward].concat(),
        Cut::Outward => outward,
        Cut::Inward => inward,
        Cut::Database => database,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cut_forbids_what_its_name_says() {
        let of = |cut| forbidden(cut, 1, 3);
        let [n0, n1, n2, db] = [Place::Node(0), Place::Node(1), Place::Node(2), Place::Database];
        assert_eq!(of(Cut::Outward), [(n1, n0), (n1, n2)]);
        assert_eq!(of(Cut::Inward), [(n0, n1), (n2, n1)]);
        assert_eq!(of(Cut::Peers), [(n1, n0), (n1, n2), (n0, n1), (n2, n1)]);
        assert_eq!(of(Cut::Database), [(n1, db), (db, n1)]);
        assert_eq!(of(Cut::Off).len(), 6);
    }
}
