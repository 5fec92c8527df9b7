//! Every command on a page is run, or at least parsed, as `CONTRIBUTING.md` says.
//!
//! Fences of `sh`, and the lines of `console` after `$ `, run in the order of the page, in a folder
//! that holds only captures, against a service on demo traffic. Commands that cannot run here are
//! in `sh,no-run`, begin with a comment that says why, and must still be command lines that `mosd`,
//! `mosctl` or `make` accepts.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use clap::CommandFactory as _;
use mos_tests::hostile::frame::{self, Segment, flags};
use mos_tests::markdown::{Fence, Page};
use mos_tests::program;
use mos_tests::tidy::{self, Tree};

/// Time for all commands of one page.
const PAGE_MAX: Duration = Duration::from_secs(300);

/// Kinds of fences that hold no commands; a plain one holds a picture or an output.
const QUIET: [&str; 9] = ["", "text", "json", "toml", "rust", "proto", "python", "ini", "yaml"];

/// Replaces a variable of the shell.
const HANDLE: &str = "00c004a900c901f2";

/// A page that shows commands.
struct Commands {
    path: String,
    run: Vec<Fence>,
    read: Vec<Fence>,
    wrong: Vec<String>,
}

impl Commands {
    fn of(path: &str, text: &str) -> Self {
        let mut commands = Self { path: path.to_owned(), run: vec![], read: vec![], wrong: vec![] };
        for mut fence in Page::read(text).fences {
            match fence.info.as_str() {
                "sh" => commands.run.push(fence),
                "console" => {
                    fence.text = typed(&fence.text);
                    commands.run.push(fence);
                }
                "sh,no-run" if fence.text.starts_with("# ") => commands.read.push(fence),
                "sh,no-run" => commands.complain(&fence, "no reason in its first line"),
                quiet if QUIET.contains(&quiet) => {}
                _ => commands.complain(&fence, "no kind of fence that a test knows"),
            }
        }
        commands
    }

    fn complain(&mut self, fence: &Fence, wrong: &str) {
        let Fence { line, info, .. } = fence;
        self.wrong.push(format!("{}:{line}: {info:?}: {wrong}", self.path));
    }

    /// The commands to run, as one script with the position of each fence.
    fn script(&self) -> String {
        let fence = |fence: &Fence| format!(": {}:{}\n{}\n", self.path, fence.line, fence.text);
        let page: String = self.run.iter().map(fence).collect();
        let demo = if page.contains("mosd run") { "" } else { "start_demo\n" };
        [include_str!("tools/page.sh"), demo, &page].concat()
    }

    /// The faults of the command lines that do not run.
    fn misread(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for fence in &self.read {
            for line in fence.text.replace("\\\n", " ").lines() {
                let error = understand(line).err();
                wrong.extend(error.map(|error| format!("{}:{}: {error}", self.path, fence.line)));
            }
        }
        wrong
    }
}

/// The input of a session: the lines after `$ `, and their continuations after `> `.
fn typed(session: &str) -> String {
    let typed = session.lines().map(|line| {
        line.strip_prefix("$ ").or_else(|| line.strip_prefix("> ")).unwrap_or_default()
    });
    typed.collect::<Vec<_>>().join("\n")
}

/// Parses the commands of a line without running them.
fn understand(line: &str) -> Result<(), String> {
    let words = shlex::split(line).ok_or_else(|| format!("quotes in {line:?}"))?;
    let between = |word: &String| matches!(word.as_str(), "|" | "||" | "&&" | "&" | ";");
    words.split(between).try_for_each(|command| {
        understand_command(command).map_err(|error| format!("{line}: {error}"))
    })
}

fn understand_command(words: &[String]) -> Result<(), String> {
    let is_before = |word: &&String| *word == "sudo" || word.contains('=');
    let words: Vec<&str> = words
        .iter()
        .skip_while(is_before)
        // Redirections belong to the shell.
        .take_while(|word| !word.starts_with('>'))
        .map(|word| if word.starts_with('$') { HANDLE } else { word })
        .collect();
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let parsed = |command: clap::Command| match command.try_get_matches_from(&words) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        Ok(_) | Err(_) => Ok(()),
    };
    match program.rsplit('/').next().unwrap_or_default() {
        "mosd" => parsed(mosd::boot::args::Cli::command()),
        "mosctl" => parsed(mosctl::args::Cli::command()),
        "make" => make(arguments),
        _ => Ok(()),
    }
}

/// Asks `make` whether it knows its targets.
fn make(arguments: &[&str]) -> Result<(), String> {
    let mut make = program::command("make", ["--dry-run", "--directory"]);
    make.arg(tidy::root()).args(arguments);
    let finished = program::run(&mut make, PAGE_MAX);
    if finished.status.success() { Ok(()) } else { Err(finished.stderr) }
}

fn pages() -> Vec<Commands> {
    let tree = Tree::of_workspace();
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    pages.map(|file| Commands::of(&file.path, &file.text)).collect()
}

/// A whole conversation, for pages that replay a capture.
fn capture() -> Vec<u8> {
    let client = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 43_512);
    let server = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 10), 443);
    let (acked, fin) = (flags::ACK, flags::ACK | flags::FIN);
    let (request, response) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    let [asked, answered] = [&request[..], &response[..]].map(|sent| length(sent) + 1);
    let segments: [(bool, u32, u32, u8, &[u8]); 8] = [
        (true, 0, 0, flags::SYN, b""),
        (false, 0, 1, flags::SYN | flags::ACK, b""),
        (true, 1, 1, acked, b""),
        (true, 1, 1, acked, request),
        (false, 1, asked, acked, response),
        (true, asked, answered, fin, b""),
        (false, answered, asked + 1, fin, b""),
        (true, asked + 1, answered + 1, acked, b""),
    ];
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    let mut written = Vec::new();
    for ((from_client, seq, ack, flags, payload), second) in segments.into_iter().zip(1_u32..) {
        let (source, target) = if from_client { (client, server) } else { (server, client) };
        let segment = Segment { source, target, seq, ack, flags, options: &[], payload };
        frame::write(&mut written, &segment);
        let length = length(&written);
        bytes.extend([second, 0, length, length].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(&written);
    }
    bytes
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a short segment")
}

/// Runs the commands of a page; returns the failure that its reader would see.
fn run(page: &Commands) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["capture.pcap", "capture.pcapng"] {
        std::fs::write(folder.path().join(name), capture()).expect("a capture");
    }
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(script.path(), page.script()).expect("a script");
    // Every process that a page starts ends with the first process of its PID namespace.
    let alone = ["--net", "--mount-proc", "--pid", "--fork", "--kill-child"];
    let mut command = program::command("unshare", alone);
    command.arg("bash").arg(script.path()).current_dir(folder.path());
    command.env("ROOT", tidy::root()).env("XDG_CONFIG_HOME", folder.path());
    command.env("MOSD", program::ours("mosd")).env("MOSCTL", program::ours("mosctl"));
    let finished = program::run(&mut command, PAGE_MAX);
    if finished.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}\n{}\n{}", page.path, finished.status, finished.text(), finished.stderr))
}

#[test]
fn every_fence_is_of_a_kind_that_says_whether_it_runs() {
    let bad = [
        ("```bash\nls\n```\n", "no kind"),
        ("```sh,no-run\nmosd run\n```\n", "no reason"),
        ("```sh no-run\n# Needs a NIC.\nmosd run\n```\n", "no kind"),
    ];
    for (text, word) in bad {
        let wrong = Commands::of("a.md", text).wrong;
        assert!(wrong.iter().any(|line| line.contains(word)), "{text}: {wrong:?}");
    }
    let wrong: Vec<_> = pages().into_iter().flat_map(|page| page.wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_that_do_not_run_here_are_understood() {
    let bad = ["mosd run --prot x", "sudo mosctl list --prot 1 | wc", "make no-target", "a 'b"];
    for line in bad {
        let page = Commands::of("a.md", &format!("```sh,no-run\n# Bad.\n{line}\n```\n"));
        assert!(!page.misread().is_empty(), "{line:?} passes");
    }
    let good = "```sh,no-run\n# Good.\nsudo target/release/mosd run \\\n --port af_packet:eth1\n\
                apt install x\nmosctl peek $flow --side client --raw >out | wc\n\
                X=1 make test\n```\n";
    assert_eq!(Commands::of("a.md", good).misread(), Vec::<String>::new());
    let wrong: Vec<_> = pages().iter().flat_map(Commands::misread).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_of_the_pages_do_what_they_say() {
    if !program::is_root() {
        return program::skip("a network of its own needs root");
    }
    let bad = Commands::of("a.md", "```console\n$ mosctl list --port 22\n> nothing\n```\n");
    assert!(run(&bad).is_err(), "a command that does not exist passes");
    let pages = pages();
    assert!(pages.iter().any(|page| page.path == "README.md" && !page.run.is_empty()));
    let shown = pages.iter().filter(|page| !page.run.is_empty());
    let wrong: Vec<_> = shown.filter_map(|page| run(page).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
