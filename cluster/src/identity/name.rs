//! The name in a node's certificate: `n<id>.<cluster>.hubbub`.

use std::{fmt, str::FromStr};

use hubbub_protocol::ids::NodeId;

/// Longest cluster id: a DNS label has 63 characters, and a name of two labels stays readable below half of that.
const CLUSTER_ID_CHARS_MAX: usize = 32;

/// Names a cluster, for ever: 1 to 32 lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(String);

/// Text that is not a [`ClusterId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cluster id has 1 to {CLUSTER_ID_CHARS_MAX} lower-case letters and digits")]
pub struct NotAClusterId;

impl FromStr for ClusterId {
    type Err = NotAClusterId;

    fn from_str(text: &str) -> Result<Self, NotAClusterId> {
        let fits = (1..=CLUSTER_ID_CHARS_MAX).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits && plain { Ok(Self(text.to_owned())) } else { Err(NotAClusterId) }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that node `node` of `cluster` is dialled by and carries in its certificate.
#[must_use]
pub fn node_name(cluster: &ClusterId, node: NodeId) -> String {
    format!("n{node}.{cluster}.hubbub")
}

/// The node that `name` names in `cluster`, if it is the one form of that name.
pub(super) fn node_of(cluster: &ClusterId, name: &str) -> Option<NodeId> {
    let id = name.strip_prefix('n')?.split('.').next()?.parse().ok().map(NodeId)?;
    (node_name(cluster, id) == name).then_some(id)
}

/// The number in `name`, a node's name in whatever cluster.
#[must_use]
pub fn node_number(name: &str) -> Option<NodeId> {
    let (_, rest) = name.split_once('.')?;
    node_of(&rest.strip_suffix(".hubbub")?.parse().ok()?, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_node_of_one_cluster() {
        let cluster: ClusterId = "abc1".parse().expect("plain");
        assert_eq!(node_name(&cluster, NodeId(7)), "n7.abc1.hubbub");
        assert_eq!(node_of(&cluster, "n7.abc1.hubbub"), Some(NodeId(7)));
        assert_eq!(node_number("n7.abc2.hubbub"), Some(NodeId(7)));
        assert_eq!(node_number("n7.abc2.example"), None);
        for other in
            ["n07.abc1.hubbub", "n+7.abc1.hubbub", "n7.abc2.hubbub", "n7.abc1.hubbub.x", "7.abc1.hubbub", ""]
        {
            assert_eq!(node_of(&cluster, other), None, "{other}");
        }
    }

    #[test]
    fn a_cluster_id_is_plain() {
        for text in ["", "Abc", "a.b", "a-b", "é", &"a".repeat(33)] {
            assert_eq!(text.parse::<ClusterId>(), Err(NotAClusterId), "{text}");
        }
    }
}
