//! Two hosts joined by a bad wire, as network namespaces of this machine.
//!
//! ```text
//!  client ns            [wire ns]            server ns
//!  veth0 ───────────── left  right ───────────── veth0
//!  10.77.0.1, fd77::1   lossy wire      10.77.0.2, fd77::2
//! ```
//!
//! If the kernel has `netem`, the two hosts are joined directly and `netem` makes the wire bad.
//! Otherwise a third namespace runs `tools/wire.py`, which does the same. It can also mirror the
//! frames of the wire to a host that only monitors. Dropping the [`Lab`] removes everything.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::program::{self, Finished};

/// The interface of either host.
pub const INTERFACE: &str = "veth0";

/// Prefix of the names of our namespaces; the process id follows.
const PREFIX: &str = "mosd-test-";

/// A command about the network that takes longer hangs.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// The faults of the wire, in percent of the frames of each direction.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    /// Frames lost.
    pub loss: u32,
    /// Frames overtaken by later ones.
    pub reorder: u32,
    /// Frames sent twice.
    pub duplicate: u32,
    /// Frames with a bit flipped.
    pub corrupt: u32,
}

/// Two hosts and the wire between them. Programs on an interface are dropped before the interface.
#[derive(Debug)]
pub struct Lab {
    middle: Option<(Helper, Namespace)>,
    client: Namespace,
    server: Namespace,
    monitor: Option<Namespace>,
}

impl Lab {
    /// Creates the hosts; `None`, with a message, if this process is not root.
    #[track_caller]
    pub fn new(wire: Wire) -> Option<Self> {
        if !program::is_root() {
            program::skip("network namespaces need root");
            return None;
        }
        clear_leftovers();
        let client = Namespace::new("client");
        let server = Namespace::new("server");
        join(&client, INTERFACE, &server, INTERFACE);
        let netem = [&client, &server].iter().all(|host| host.impair(wire));
        let middle = (!netem).then(|| {
            ip(&["-n", client.name(), "link", "del", INTERFACE]);
            put_wire_between(&client, &server, wire, None)
        });
        client.configure(1, 2);
        server.configure(2, 1);
        Some(Self { middle, client, server, monitor: None })
    }

    /// Creates the hosts, joined directly, without addresses: no frame passes that a test does not
    /// send. `None`, with a message, if this process is not root.
    #[track_caller]
    pub fn silent() -> Option<Self> {
        if !program::is_root() {
            program::skip("network namespaces need root");
            return None;
        }
        clear_leftovers();
        let [client, server] = ["client", "server"].map(Namespace::new);
        for host in [&client, &server] {
            let off = ["-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"];
            program::run(&mut inside(host.name(), "sh", &off), COMMAND_MAX).succeeded();
        }
        join(&client, INTERFACE, &server, INTERFACE);
        Some(Self { middle: None, client, server, monitor: None })
    }

    /// Creates the hosts and a third one, whose interface gets a copy of every frame that leaves
    /// the wire, except for `blind` percent of the segments with data.
    #[track_caller]
    pub fn mirrored(wire: Wire, blind: u32) -> Option<Self> {
        if !program::is_root() {
            program::skip("network namespaces need root");
            return None;
        }
        clear_leftovers();
        let [client, server, monitor] = ["client", "server", "monitor"].map(Namespace::new);
        let middle = Some(put_wire_between(&client, &server, wire, Some((&monitor, blind))));
        client.configure(1, 2);
        server.configure(2, 1);
        ip(&["-n", monitor.name(), "link", "set", "lo", "up"]);
        Some(Self { middle, client, server, monitor: Some(monitor) })
    }

    /// The namespace of the host that only monitors, or else the client's.
    pub fn monitor(&self) -> &str {
        self.monitor.as_ref().unwrap_or(&self.client).name()
    }

    /// The namespace of the client's host.
    pub fn client(&self) -> &str {
        self.client.name()
    }

    /// The namespace of the server's host.
    pub fn server(&self) -> &str {
        self.server.name()
    }

    /// The name of what makes the wire bad, for messages.
    pub fn wire_kind(&self) -> &'static str {
        if self.middle.is_some() { "tools/wire.py" } else { "netem" }
    }
}

/// A network namespace with a name of its own. Dropping it removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace, and removes those of tests that were killed.
    #[track_caller]
    pub fn alone(role: &str) -> Self {
        clear_leftovers();
        Self::new(role)
    }

    /// Moves the calling thread into it.
    ///
    /// # Errors
    ///
    /// Those of the kernel.
    pub fn enter(&self) -> io::Result<()> {
        let link = File::open(Path::new("/run/netns").join(&self.name))?;
        Ok(move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Runs `ip` on it, with words that are separated by one space.
    #[track_caller]
    pub fn ip(&self, words: &str) {
        ip(&["-n", self.name()].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    }

    #[track_caller]
    fn new(role: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        ip(&["netns", "add", &name]);
        Self { name }
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Configures the addresses of this host and of its peer, so that none is resolved over the
    /// wire, which may lose or delay the messages.
    fn configure(&self, own: u8, peer: u8) {
        self.ip("link set lo up");
        self.ip(&format!("link set {INTERFACE} address 02:00:00:00:77:0{own}"));
        self.ip(&format!("addr add 10.77.0.{own}/24 dev {INTERFACE}"));
        self.ip(&format!("addr add fd77::{own}/64 dev {INTERFACE} nodad"));
        let there = format!("lladdr 02:00:00:00:77:0{peer} dev {INTERFACE} nud permanent");
        self.ip(&format!("neigh replace 10.77.0.{peer} {there}"));
        self.ip(&format!("neigh replace fd77::{peer} {there}"));
    }

    /// Applies the faults of the wire to the frames that this host sends; `false` if the kernel has
    /// no `netem`.
    fn impair(&self, wire: Wire) -> bool {
        let add = ["netns", "exec", self.name(), "tc", "qdisc", "add", "dev", INTERFACE, "root"];
        let [loss, reorder, duplicate, corrupt] =
            [wire.loss, 100 - wire.reorder, wire.duplicate, wire.corrupt]
                .map(|percent| format!("{percent}%"));
        // `netem` delays every packet except those that it "reorders", which it sends at once.
        let chances = ["loss", &loss, "duplicate", &duplicate, "corrupt", &corrupt];
        let order = ["delay", "1ms", "reorder", &reorder];
        let mut tc = program::command("ip", add);
        tc.args(["netem", "limit", "100000"]).args(chances).args(order);
        program::run(&mut tc, COMMAND_MAX).status.success()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let mut delete = program::command("ip", ["netns", "del", &self.name]);
        // Deletes its interfaces, too. A failure is ignored, because this may run while unwinding.
        delete.status().map(drop).unwrap_or_default();
    }
}

/// A program that runs next to the test, and ends with it.
#[derive(Debug)]
pub struct Helper {
    child: Child,
}

impl Helper {
    /// Starts a Python script of `tools/` in a namespace, and waits until it prints `ready`.
    #[track_caller]
    pub fn start(namespace: &str, script: &str, arguments: &[&str]) -> Self {
        let mut command = inside(namespace, "python3", &[tool(script).as_str()]);
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).spawn().expect("a helper starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("its output can be read");
        let helper = Self { child };
        assert_eq!(line, "ready\n", "{script} did not start");
        helper
    }

    /// Starts any program in a namespace.
    #[track_caller]
    pub fn spawn(namespace: &str, program: &str, arguments: &[&str]) -> Self {
        let child = inside(namespace, program, arguments).spawn().expect("a helper starts");
        Self { child }
    }

    /// Waits for its end, which must be a success.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) {
        let status = program::wait(&mut self.child, limit);
        assert!(status.is_some_and(|status| status.success()), "a helper ended with {status:?}");
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        program::kill(&mut self.child);
    }
}

/// A command that runs in a namespace.
pub fn inside(namespace: &str, name: &str, arguments: &[&str]) -> Command {
    let mut command = program::command("ip", ["netns", "exec", namespace, name]);
    command.args(arguments);
    command
}

/// Runs a Python script of `tools/` in a namespace, which must succeed.
#[track_caller]
pub fn script(namespace: &str, name: &str, arguments: &[&str], limit: Duration) -> Finished {
    let mut command = inside(namespace, "python3", &[tool(name).as_str()]);
    program::run(command.args(arguments), limit).succeeded()
}

fn tool(name: &str) -> String {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    folder.join(name).to_string_lossy().into_owned()
}

#[track_caller]
fn ip(arguments: &[&str]) -> Finished {
    program::run(&mut program::command("ip", arguments), COMMAND_MAX).succeeded()
}

/// Removes the namespaces of tests that were killed.
#[track_caller]
fn clear_leftovers() {
    for line in ip(&["netns", "list"]).text().lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            ip(&["netns", "del", name]);
        }
    }
}

/// Joins two namespaces by a pair of interfaces that neither merge nor split segments: a monitor
/// must see what a wire would carry.
#[track_caller]
fn join(a: &Namespace, a_interface: &str, b: &Namespace, b_interface: &str) {
    let peer = ["peer", "name", b_interface, "netns", b.name()];
    let add = ["link", "add", a_interface, "netns", a.name(), "type", "veth"];
    ip(&[add.as_slice(), peer.as_slice()].concat());
    for (host, interface) in [(a, a_interface), (b, b_interface)] {
        let off = ["-K", interface, "tso", "off", "gso", "off", "gro", "off", "tx", "off"];
        program::run(&mut inside(host.name(), "ethtool", &off), COMMAND_MAX).succeeded();
        ip(&["-n", host.name(), "link", "set", interface, "up"]);
    }
}

#[track_caller]
fn put_wire_between(
    client: &Namespace,
    server: &Namespace,
    wire: Wire,
    monitor: Option<(&Namespace, u32)>,
) -> (Helper, Namespace) {
    let middle = Namespace::new("wire");
    join(client, INTERFACE, &middle, "left");
    join(server, INTERFACE, &middle, "right");
    let [loss, reorder, duplicate, corrupt] =
        [wire.loss, wire.reorder, wire.duplicate, wire.corrupt].map(|percent| percent.to_string());
    let order = ["--loss", &loss, "--reorder", &reorder];
    let frames = ["--duplicate", &duplicate, "--corrupt", &corrupt];
    let blind = monitor.map_or(0, |(_, blind)| blind).to_string();
    let mirror = match monitor {
        Some((monitor, _)) => {
            join(monitor, INTERFACE, &middle, "mirror");
            vec!["--mirror", "mirror", "--blind", &blind]
        }
        None => Vec::new(),
    };
    let arguments = [["left", "right"].as_slice(), &order, &frames, &mirror].concat();
    let helper = Helper::start(middle.name(), "wire.py", &arguments);
    (helper, middle)
}
