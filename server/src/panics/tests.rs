//! Panics that are contained, and one that is not, in a process of its own.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
    thread,
};

use super::*;

/// The variable that tells a run of this program to panic.
const DIE: &str = "MOSD_TEST_DIES";

/// The number of SIGABRT.
const ABORTED: i32 = 6;

/// Runs a test of this program alone, so that it may die.
fn alone(test: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    let name = format!("panics::tests::{test}");
    let mut command = Command::new(program);
    command.args(["--exact", &name, "--nocapture"]).env(DIE, "1").output().unwrap()
}

#[test]
fn a_panic_of_a_worker_ends_the_process_and_says_which_core() {
    if std::env::var_os(DIE).is_some() {
        install(crate::log::say);
        let worker = || panic!("the worker is at its end");
        let name = format!("{}3", mos_control::WORKER_THREAD);
        drop(thread::Builder::new().name(name).spawn(worker).unwrap().join());
        return;
    }
    let died = alone("a_panic_of_a_worker_ends_the_process_and_says_which_core");
    let stderr = String::from_utf8_lossy(&died.stderr);
    assert_eq!(died.status.signal(), Some(ABORTED), "{stderr}");
    let said = "error: core 3 (thread mos-worker-3) panicked at server/src/panics/tests.rs:";
    assert!(stderr.contains(said), "{stderr}");
    assert!(stderr.contains(": the worker is at its end; "), "{stderr}");
}

#[test]
fn a_panic_of_a_thread_that_contains_them_ends_nothing() {
    if std::env::var_os(DIE).is_some() {
        install(crate::log::say);
        let body = || {
            contains_its_panics();
            panic!("of one task");
        };
        assert!(thread::spawn(body).join().is_err());
        assert_eq!(count(), 1);
        assert_eq!(caught(|| 7), Ok(7));
        let first = caught(|| panic!("caught")).unwrap_err();
        assert_ne!(caught(|| panic!("caught")), Err::<(), _>(first));
        assert_eq!(count(), 3);
        return;
    }
    let lived = alone("a_panic_of_a_thread_that_contains_them_ends_nothing");
    let stderr = String::from_utf8_lossy(&lived.stderr);
    assert!(lived.status.success(), "{stderr}");
}

#[tokio::test]
async fn a_task_that_ends_by_a_panic_is_noted() {
    spawn("the ticker", async { panic!("no more ticks") }).await.unwrap();
    spawn("the clock", async {}).await.unwrap();
    assert_eq!(fallen(), ["the ticker"]);
}
