//! The scene: a namespace with a tun device, in which scripts are played with the kernel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use mos_tests::lab::Namespace;

use crate::ends::kernel::{self, Kernel, Received};
use crate::ends::peer::Peer;
use crate::ends::setup::{Role, Setting, Version};
use crate::script::{Script, Step};
use crate::wire::capture::Seen;
use crate::wire::packet::{self, Packet, flags};
use crate::wire::tun::Device;

/// The device's name.
const DEVICE: &str = "judge";

/// The port of the end that connects.
const CLIENT_PORT: u16 = 40000;

/// Settings of the namespace: answers are neither delayed, repeated nor limited.
const SETTINGS: [(&str, &str); 8] = [
    ("net/ipv4/tcp_synack_retries", "0"),
    ("net/ipv4/tcp_invalid_ratelimit", "0"),
    ("net/ipv4/tcp_challenge_ack_limit", "2147483647"),
    ("net/ipv4/tcp_max_syn_backlog", "65536"),
    ("net/core/somaxconn", "65536"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
];

/// What happened to one script.
#[derive(Debug, Clone)]
pub struct Played {
    /// The script.
    pub script: Script,
    /// The raw peer's end.
    pub raw: SocketAddr,
    /// The kernel's end.
    pub kernel: SocketAddr,
    /// All packets.
    pub packets: Vec<Seen>,
    /// What each of the kernel's sockets read.
    pub read: Vec<Received>,
    /// What the kernel sent on each of its connections, as a length of its stream.
    pub sent: Vec<usize>,
    /// RSTs of the kernel.
    pub resets: usize,
}

/// A namespace in which scripts are played. It belongs to the thread that made it.
#[derive(Debug)]
pub struct Scene {
    device: Device,
    sockets: Kernel,
    count: u32,
    cookies: &'static str,
    _namespace: Namespace,
}

impl Scene {
    /// Makes the namespace, and moves the calling thread into it.
    ///
    /// # Errors
    ///
    /// Not root, or no tun devices.
    pub fn new() -> io::Result<Self> {
        let namespace = Namespace::alone("judge");
        namespace.enter()?;
        for (path, value) in SETTINGS {
            // A setting that this kernel does not have has no effect on it either.
            std::fs::write(format!("/proc/sys/{path}"), value).unwrap_or_default();
        }
        let device = Device::create(DEVICE)?;
        namespace.ip("link set lo up");
        namespace.ip(&format!("link set {DEVICE} up"));
        namespace.ip(&format!("route add 10.16.0.0/12 dev {DEVICE}"));
        namespace.ip(&format!("route add fd77:1::/32 dev {DEVICE}"));
        namespace.ip("route add local 10.32.0.0/12 dev lo");
        namespace.ip("route add local fd77:2::/32 dev lo");
        namespace.ip("addr add 10.32.0.1/32 dev lo");
        namespace.ip("addr add fd77:2::1/128 dev lo nodad");
        Ok(Self {
            device,
            sockets: Kernel::listen()?,
            count: 1,
            cookies: "",
            _namespace: namespace,
        })
    }

    /// Plays a script on addresses of its own.
    ///
    /// # Errors
    ///
    /// The device or a socket fails.
    pub fn play(&mut self, script: &Script) -> io::Result<Played> {
        self.count += 1;
        let (raw, kernel) = ends(script, self.count);
        let cookies = if script.setup.setting == Setting::Cookies { "2" } else { "1" };
        if self.cookies != cookies {
            std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", cookies)?;
            self.cookies = cookies;
        }
        let peer = Peer::new(script.setup, raw, kernel);
        let mut play = Play { scene: self, peer, packets: Vec::new(), raw, kernel };
        for step in &script.steps {
            play.step(*step)?;
        }
        let packets = play.packets;
        let read = self.sockets.finish();
        while self.device.read()?.is_some() {}
        let (sent, resets) = said(&packets);
        Ok(Played { script: script.clone(), raw, kernel, packets, read, sent, resets })
    }
}

/// The ends of the connection with a number.
fn ends(script: &Script, number: u32) -> (SocketAddr, SocketAddr) {
    let setup = script.setup;
    let is_small = setup.setting == Setting::Small;
    let listener = if is_small { kernel::SMALL_PORT } else { kernel::PORT };
    let (raw_port, kernel_port) = match setup.role {
        Role::Server => (CLIENT_PORT, listener),
        Role::Client => (kernel::PORT, CLIENT_PORT),
    };
    let address = |side: u8| {
        let [_, b, c, d] = number.to_be_bytes();
        if setup.version == Version::V6 {
            let low = u16::from_be_bytes([c, d]);
            IpAddr::V6(Ipv6Addr::new(0xfd77, side.into(), 0, 0, 0, 0, b.into(), low))
        } else {
            IpAddr::V4(Ipv4Addr::new(10, side * 16 + b % 16, c, d))
        }
    };
    (SocketAddr::new(address(1), raw_port), SocketAddr::new(address(2), kernel_port))
}

/// A script that is being played.
struct Play<'a> {
    scene: &'a mut Scene,
    peer: Peer,
    packets: Vec<Seen>,
    raw: SocketAddr,
    kernel: SocketAddr,
}

impl Play<'_> {
    fn step(&mut self, step: Step) -> io::Result<()> {
        let sockets = &mut self.scene.sockets;
        match step {
            Step::Connect => sockets.connect(self.kernel, self.raw, self.peer.setup())?,
            Step::Write(length) => sockets.write(length.into()),
            Step::Shutdown => sockets.shutdown(),
            Step::Close => sockets.close(),
            Step::Pause => sockets.paused = true,
            Step::Resume => sockets.paused = false,
            Step::Syn => self.send(|peer| peer.begin(flags::SYN))?,
            Step::SynAck => self.send(|peer| peer.begin(flags::SYN | flags::ACK))?,
            Step::Ack => self.send(Peer::acknowledge)?,
            Step::Data(length) => self.send(|peer| peer.data(length))?,
            Step::Ahead(by, length) => self.send(|peer| peer.data_at(by.into(), length))?,
            Step::Again(by, length) => self.send(|peer| peer.data_at(-i32::from(by), length))?,
            Step::Fin => self.send(Peer::fin)?,
            Step::Rst => self.send(Peer::refuse)?,
            Step::Strange(strange) => self.send(|peer| strange.packet(peer))?,
            Step::Reborn => self.peer.forget(),
            Step::Fill(left) => return self.fill(left),
        }
        self.hear()?;
        self.scene.sockets.serve();
        self.hear()
    }

    fn fill(&mut self, left: u16) -> io::Result<()> {
        const SEGMENT: u32 = 700;
        loop {
            let room = self.peer.edge.wrapping_sub(self.peer.next).wrapping_sub(left.into());
            let Ok(length) = u16::try_from(room.min(SEGMENT)) else { return Ok(()) };
            if length == 0 || room > 1 << 20 {
                return Ok(());
            }
            self.step(Step::Data(length))?;
        }
    }

    fn send(&mut self, packet: impl FnOnce(&mut Peer) -> Packet) -> io::Result<()> {
        let strange = packet(&mut self.peer);
        let mut pieces = strange.build().into_iter().peekable();
        while let Some(packet) = pieces.next() {
            // Before the kernel has it, and may answer.
            let time = now();
            self.scene.device.write(&packet)?;
            let plain = pieces.peek().is_none().then(|| strange.plain());
            self.packets.push(Seen { time, by_kernel: false, packet, plain });
        }
        Ok(())
    }

    /// Hears all that the kernel has sent on this connection.
    fn hear(&mut self) -> io::Result<()> {
        while let Some(packet) = self.scene.device.read()? {
            let ours = packet::addresses(&packet)
                .is_some_and(|(from, to)| from == self.kernel.ip() && to == self.raw.ip());
            if ours {
                packet::hear(&packet).iter().for_each(|heard| self.peer.hear(heard));
                let plain = Some(packet.clone());
                self.packets.push(Seen { time: now(), by_kernel: true, packet, plain });
            }
        }
        Ok(())
    }
}

/// What the kernel has sent, on each connection by its initial number; and its RSTs.
fn said(packets: &[Seen]) -> (Vec<usize>, usize) {
    const FAR: u32 = 1 << 20;
    let mut streams: Vec<(u32, usize)> = Vec::new();
    let mut resets = 0;
    for seen in packets.iter().filter(|seen| seen.by_kernel) {
        let Some(heard) = packet::hear(&seen.packet) else { continue };
        resets += usize::from(heard.flags & flags::RST != 0);
        if heard.flags & flags::SYN != 0 && streams.iter().all(|(iss, _)| *iss != heard.seq) {
            streams.push((heard.seq, 0));
        }
        let offset = |iss: u32| heard.seq.wrapping_sub(iss).wrapping_sub(1);
        let nearest = streams.iter_mut().min_by_key(|(iss, _)| offset(*iss));
        if let Some((iss, sent)) =
            nearest.filter(|(iss, _)| heard.payload > 0 && offset(*iss) < FAR)
        {
            *sent = (*sent).max(offset(*iss) as usize + heard.payload);
        }
    }
    (streams.into_iter().map(|(_, sent)| sent).filter(|sent| *sent > 0).collect(), resets)
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
