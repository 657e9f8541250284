//! Where a cluster runs: a network of namespaces that can be cut, or loopback where those are not permitted.
//!
//! A namespace for each node, one for the switch between them; the database and the people are in the namespace of the
//! rig, at addresses of their own, so that a node can lose the one and keep the other. Cuts are pairs of addresses in a
//! set of the switch's firewall.
//!
//! # Invariants
//!
//! * Every name starts with [`PREFIX`] and the rig's process id: [`Lab::open`] removes what rigs that are gone left,
//!   the processes in it first, and touches nothing else.
//! * A cut is tried before a run relies on it: [`Lab::open`] fails over to loopback when it does not bite.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::cuts::Place;

/// Begins the name of everything that is made outside this process.
const PREFIX: &str = "hubbub-lab";
/// Most nodes of a lab.
pub const NODES_MAX: usize = 9;
/// Where the people are, and the database, in the lab's network of 256.
const PEOPLE: u8 = 254;
const DATABASE: u8 = 253;
/// How long a connection is tried that may be cut: a packet inside one machine takes a millisecond.
const TRIED_FOR: Duration = Duration::from_millis(700);
/// Ports of a node in the lab's network; each has an address of its own.
const PORTS: Ports = Ports { public: 18_080, admin: 18_081, cluster: 17_400 };
/// The firewall of the switch.
const FIREWALL: &str = "table bridge lab {
  set cut { type ipv4_addr . ipv4_addr; }
  chain cross { type filter hook forward priority 0; policy accept; ip saddr . ip daddr @cut counter drop; }
}
";

/// Ports that a node listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For clients.
    pub public: u16,
    /// For operators.
    pub admin: u16,
    /// For other nodes, UDP.
    pub cluster: u16,
}

/// A lab.
#[derive(Debug)]
pub struct Lab {
    nodes: usize,
    network: Option<Network>,
    /// First port of each node on loopback.
    loopback: u16,
}

/// Its namespaces.
#[derive(Debug)]
struct Network {
    name: String,
    /// Third part of its addresses.
    number: u8,
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let done = done.with_context(|| format!("{program} is not installed"))?;
    if !done.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

impl Lab {
    /// Makes a lab for so many nodes; says on standard error why it is on loopback when it is.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "whoever reads a verdict has to know that nothing was cut")]
    pub fn open(nodes: usize, loopback: bool) -> Self {
        assert!((1..=NODES_MAX).contains(&nodes), "a lab has 1 to {NODES_MAX} nodes");
        let loopback_from = free_block();
        let mut lab = Self { nodes, network: None, loopback: loopback_from };
        if loopback {
            return lab;
        }
        remove_leftovers();
        let number = u8::try_from(std::process::id() % 250).unwrap_or(0);
        lab.network = Some(Network { name: format!("{PREFIX}-{}", std::process::id()), number });
        if let Err(error) = lab.lay_out().and_then(|()| lab.cuts_bite()) {
            lab.remove();
            lab.network = None;
            eprintln!("no namespaces here, so nothing is cut; nodes are on loopback ports ({error:#})");
        }
        lab
    }

    /// Whether it has a network that can be cut.
    #[must_use]
    pub const fn can_cut(&self) -> bool {
        self.network.is_some()
    }

    /// How many nodes it has.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.nodes
    }

    fn lay_out(&self) -> anyhow::Result<()> {
        let Some(Network { name, number }) = &self.network else { return Ok(()) };
        let switch = format!("{name}-sw");
        let ip = |line: &str| run("ip", &line.split_whitespace().collect::<Vec<_>>());
        let plug = |port: &str| ip(&format!("-n {switch} link set {port} master br0 up"));
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for node in 0..self.nodes {
            let (space, host) = (format!("{name}-n{node}"), node + 1);
            ip(&format!("netns add {space}"))?;
            ip(&format!("-n {switch} link add p{node} type veth peer name eth0 netns {space}"))?;
            plug(&format!("p{node}"))?;
            ip(&format!("-n {space} addr add 10.77.{number}.{host}/24 dev eth0"))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        let uplink = self.uplink();
        ip(&format!("link add {uplink} type veth peer name uplink netns {switch}"))?;
        plug("uplink")?;
        // The first address is where connections of the people come from.
        ip(&format!("addr add 10.77.{number}.{PEOPLE}/24 dev {uplink}"))?;
        ip(&format!("addr add 10.77.{number}.{DATABASE}/24 dev {uplink}"))?;
        ip(&format!("link set {uplink} up"))?;
        self.firewall(FIREWALL)
    }

    /// Names of interfaces have 15 letters at most.
    fn uplink(&self) -> String {
        format!("hl{}", std::process::id())
    }

    fn firewall(&self, rules: &str) -> anyhow::Result<()> {
        let Some(Network { name, .. }) = &self.network else { return Ok(()) };
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &format!("{name}-sw"), "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("ip is not installed")?;
        if let Some(mut rules_in) = nft.stdin.take() {
            rules_in.write_all(rules.as_bytes())?;
        }
        let done = nft.wait_with_output()?;
        if !done.status.success() {
            bail!("nft: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    }

    /// Tries a cut between the database's place and the first node's: a connection there is refused, since nobody
    /// listens, and finds nobody when it is cut.
    fn cuts_bite(&self) -> anyhow::Result<()> {
        let listener = TcpListener::bind((self.database(), 0)).context("the lab's address cannot be used")?;
        let port = listener.local_addr()?.port();
        let reached = || {
            let from = self.command(0, Path::new("timeout"));
            let script = format!("exec 3<>/dev/tcp/{}/{port}", self.database());
            let mut from = from;
            from.args(["0.7", "bash", "-c", &script]).stderr(Stdio::null());
            from.status().is_ok_and(|status| status.success())
        };
        if !reached() {
            bail!("the first node does not reach the database's address");
        }
        self.cut(&[(Place::Node(0), Place::Database)])?;
        let cut = !reached();
        self.heal()?;
        if !cut || !reached() {
            bail!("a cut does not bite");
        }
        let nobody = (self.address(0), PORTS.public).into();
        match TcpStream::connect_timeout(&nobody, TRIED_FOR) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
            other => bail!("the people do not reach the first node: {other:?}"),
        }
    }

    /// The address of a node, from 0.
    #[must_use]
    pub fn address(&self, node: usize) -> Ipv4Addr {
        let host = u8::try_from(node + 1).expect("a node of the lab");
        self.network.as_ref().map_or(Ipv4Addr::LOCALHOST, |network| Ipv4Addr::new(10, 77, network.number, host))
    }

    /// The ports of a node.
    #[must_use]
    pub fn ports(&self, node: usize) -> Ports {
        if self.can_cut() {
            return PORTS;
        }
        let first = self.loopback + 3 * u16::try_from(node).expect("a node of the lab");
        Ports { public: first, admin: first + 1, cluster: first + 2 }
    }

    /// Where the database is to be.
    #[must_use]
    pub fn database(&self) -> Ipv4Addr {
        self.network.as_ref().map_or(Ipv4Addr::LOCALHOST, |network| Ipv4Addr::new(10, 77, network.number, DATABASE))
    }

    /// A command that runs where a node is; its process id is that of `program`.
    #[must_use]
    pub fn command(&self, node: usize, program: &Path) -> Command {
        match &self.network {
            None => Command::new(program),
            Some(Network { name, .. }) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &format!("{name}-n{node}")]).arg(program);
                command
            }
        }
    }

    fn at(&self, place: Place) -> Ipv4Addr {
        match place {
            Place::Node(node) => self.address(node),
            Place::Database => self.database(),
        }
    }

    /// Lets nothing through any more from the first of each pair to the second.
    ///
    /// # Errors
    /// When the firewall refuses.
    pub fn cut(&self, pairs: &[(Place, Place)]) -> anyhow::Result<()> {
        let pairs: Vec<_> =
            pairs.iter().map(|(from, to)| format!("{} . {}", self.at(*from), self.at(*to))).collect();
        self.firewall(&format!("add element bridge lab cut {{ {} }}\n", pairs.join(", ")))
    }

    /// Ends all cuts.
    ///
    /// # Errors
    /// When the firewall refuses.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.firewall("flush set bridge lab cut\n")
    }

    fn remove(&self) {
        if let Some(Network { name, .. }) = &self.network {
            // What was not made cannot be removed; the other end of a pair goes with its namespace.
            let _ = run("ip", &["link", "del", &self.uplink()]);
            remove_spaces(|space| space.starts_with(&format!("{name}-")));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes namespaces, and ends the processes in them first: nodes whose rig was killed.
fn remove_spaces(of: impl Fn(&str) -> bool) {
    let spaces = run("ip", &["netns", "list"]).unwrap_or_default();
    for space in spaces.lines().filter_map(|line| line.split_whitespace().next()).filter(|space| of(space)) {
        for process in run("ip", &["netns", "pids", space]).unwrap_or_default().split_whitespace() {
            let _ = run("kill", &["-KILL", process]);
        }
        let _ = run("ip", &["netns", "del", space]);
    }
}

fn remove_leftovers() {
    remove_spaces(|space| {
        let owner = space.strip_prefix(PREFIX).and_then(|rest| rest.trim_start_matches('-').split('-').next());
        owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists())
    });
}

/// The first of as many free loopback ports below 32768 as a lab may need.
fn free_block() -> u16 {
    let ports = 3 * u16::try_from(NODES_MAX).expect("a few");
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below ten thousand");
    let free = |from: &u16| (*from..from + ports).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let mut blocks = (0..64).map(|block| first + block * ports);
    blocks.find(free).expect("free ports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_every_node_has_ports_of_its_own() {
        let lab = Lab::open(3, true);
        assert!(!lab.can_cut());
        let mut ports: Vec<u16> = (0..3)
            .map(|node| lab.ports(node))
            .flat_map(|ports| [ports.public, ports.admin, ports.cluster])
            .collect();
        ports.dedup();
        assert_eq!(ports.len(), 9);
        assert!(ports.iter().all(|port| *port < 32_768));
    }

    /// Where namespaces are not permitted, the lab says so and is on loopback.
    #[test]
    fn a_lab_that_can_cut_keeps_nodes_apart_and_lets_them_meet_again() {
        let lab = Lab::open(2, false);
        let meet = || {
            let listener = lab.command(1, Path::new("true")).status();
            listener.is_ok_and(|status| status.success())
        };
        assert!(meet(), "a program runs where the node is");
        if lab.can_cut() {
            assert_ne!(lab.address(0), lab.address(1));
            let forbidden = super::super::cuts::forbidden(super::super::plan::Cut::Off, 0, 2);
            lab.cut(&forbidden).expect("the firewall takes it");
            assert!(lab.cuts_bite().is_err(), "the first node does not reach the database's address");
            lab.heal().expect("the firewall takes it");
            lab.cuts_bite().expect("all is well again");
        } else {
            assert_eq!(lab.address(0), Ipv4Addr::LOCALHOST);
        }
    }
}
