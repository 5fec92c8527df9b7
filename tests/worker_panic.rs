//! A panic of a worker in a running mosd: it says which core, and aborts.
//!
//! mosd has nothing that would provoke one. A debugger's means, `ptrace(2)` from Python, send the
//! thread of a worker where a division by zero would.

#![expect(
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use mos_tests::program;
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sets the registers of a thread so that it calls the function of a division by zero with a place
/// (`core::panic::Location`) that is written on its stack.
const DIVIDE: &str = r#"
import ctypes, os, struct, subprocess, sys
pid, name = sys.argv[1:]
exe = os.readlink(f"/proc/{pid}/exe")
symbols = subprocess.run(["nm", "--defined-only", exe], stdout=subprocess.PIPE, text=True).stdout
function = next((s.split()[0] for s in symbols.splitlines() if s.endswith("_div_by_zero")), None)
if function is None:
    sys.exit(3)
with open(f"/proc/{pid}/maps") as maps:
    base = next(int(m.split("-")[0], 16) for m in maps if m.rstrip().endswith(exe))
tasks = f"/proc/{pid}/task"
tid = next(int(t) for t in os.listdir(tasks) if open(f"{tasks}/{t}/comm").read().strip() == name)
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, GETREGS, SETREGS, DETACH, WALL = 0x4206, 0x4207, 12, 13, 17, 0x40000000
if ptrace(SEIZE, tid, None, None) != 0 or ptrace(INTERRUPT, tid, None, None) != 0:
    sys.exit(3)
os.waitpid(tid, WALL)
registers = (ctypes.c_ulonglong * 27)()
assert ptrace(GETREGS, tid, None, registers) == 0
RDI, ORIG_RAX, RIP, RSP = 14, 15, 16, 19
place = (registers[RSP] - 4096) & ~15
file = b"nowhere.rs"
with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
    memory.seek(place)
    memory.write(struct.pack("<QQII", place + 64, len(file), 7, 1).ljust(64, b"\0") + file + b"\0")
registers[RDI], registers[RIP] = place, base + int(function, 16)
registers[RSP], registers[ORIG_RAX] = place - 4096 - 8, 2**64 - 1
assert ptrace(SETREGS, tid, None, registers) == 0
assert ptrace(DETACH, tid, None, None) == 0
"#;

/// Where the script cannot do what it is for.
const NOT_ALLOWED: i32 = 3;

#[test]
fn a_worker_that_panics_ends_the_process_at_once_and_says_which_core() {
    if cfg!(not(target_arch = "x86_64")) {
        return program::skip("the registers are those of x86-64");
    }
    // No core dump: it would lie in the folder of the test.
    let mosd = Mosd::start(&Setup::demo().with(&["--workers", "2"]).limited("-c 0"));
    let pid = mosd.pid().to_string();
    let mut divide = program::command("python3", ["-c", DIVIDE, &pid, "mos-worker-1"]);
    let divided = program::run(&mut divide, PATIENCE);
    if divided.code() == Some(NOT_ALLOWED) {
        return program::skip("ptrace is not allowed, or mosd has no symbols");
    }
    divided.succeeded();
    let ended = mosd.ended();
    assert_eq!(ended.status.signal(), Some(Signal::ABORT.as_raw()), "{}", ended.log);
    let last = ended.log.lines().last().unwrap_or_default();
    for part in [
        "error: core 1 (thread mos-worker-1) panicked at nowhere.rs:7:1",
        "attempt to divide by zero",
        "mosd aborts",
    ] {
        assert!(last.contains(part), "no {part:?} in {last}");
    }
}
