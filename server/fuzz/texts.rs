//! Fuzz targets: every text that users hand to the service.
//!
//! Properties on random bytes in every test run, and the same functions under libFuzzer in
//! `make fuzz-smoke`. The seeds in `__fuzz__` are texts of our own tests and documents.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use mos_stack::Stack;
use mos_text::FlowName;
use mosd::{
    Filter,
    boot::config::{Config, ConfigFile},
};

/// Bytes of one text, at most: more than the longest filter.
const TEXT_MAX: usize = 3000;

/// Random bytes are hardly ever a text: those that begin beyond ASCII choose words instead.
fn as_text(input: &[u8], words: &[&str]) -> String {
    match input.split_first() {
        Some((0x80.., choices)) => {
            choices.iter().map(|choice| words[usize::from(*choice) % words.len()]).collect()
        }
        _ => String::from_utf8_lossy(input).into_owned(),
    }
}

#[test]
fn config_text() {
    const WORDS: [&str; 18] = [
        "[limits]\n",
        "[options]\n",
        "[server]\n",
        "[timeouts]\n",
        "flows_max",
        "pool",
        "idle",
        "buffer_max",
        "client_buffer",
        "listen",
        " = ",
        "\"64MiB\"",
        "\"10s\"",
        "7",
        "-1",
        "\n",
        "[",
        "]",
    ];
    bolero::check!().with_iterations(20_000).with_max_len(TEXT_MAX).for_each(|input: &[u8]| {
        let text = as_text(input, &WORDS);
        let file = ConfigFile::parse("fuzz.toml".as_ref(), text.clone());
        let config: Config = match file {
            Ok(file) => file.config,
            Err(error) => {
                assert!(error.to_string().starts_with("fuzz.toml, line "), "{error}");
                return;
            }
        };
        // What is accepted has bounds that a stack accepts, unless it is told what contradicts.
        let Ok(mut limits) = config.limits() else { return };
        limits.pool_bytes = limits.pool_bytes.min(1 << 20);
        limits.flows_max = limits.flows_max.min(64);
        let stack = Stack::new(mos_stack::WorkerId::default(), limits, 1);
        assert!(stack.is_ok(), "{:?} from {text}", stack.err());
    });
}

#[test]
fn flow_name_text() {
    const WORDS: [&str; 14] = [
        "flows/",
        "tcp/",
        "10.0.0.1",
        "192.0.2.10",
        "[2001:db8::1]",
        "[2001:db8::2]",
        ":",
        "443",
        "65536",
        "-",
        "@",
        "4095",
        "00c004a900c901f2",
        "8",
    ];
    bolero::check!().with_iterations(100_000).with_max_len(200).for_each(|input: &[u8]| {
        let text = as_text(input, &WORDS);
        match text.parse::<FlowName>() {
            Ok(name) => assert_eq!(name.to_string().parse(), Ok(name), "{text}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

#[test]
fn filter_text() {
    const WORDS: [&str; 20] = [
        "client.address",
        "server.port",
        "age",
        "client_state",
        "vlan",
        " = ",
        " != ",
        " >= ",
        "10.0.0.0/8",
        "443",
        "10s",
        "ESTABLISHED",
        " AND ",
        " OR ",
        "NOT ",
        "-",
        "(",
        ")",
        "\"",
        " ",
    ];
    bolero::check!().with_iterations(100_000).with_max_len(TEXT_MAX).for_each(|input: &[u8]| {
        let text = as_text(input, &WORDS);
        match Filter::parse(&text) {
            Ok(filter) => assert_eq!(filter.is_empty(), text.trim().is_empty(), "{text:?}"),
            Err(error) => {
                let characters = text.chars().count().max(text.len());
                assert!((1..=characters + 1).contains(&error.column), "{error:?} of {text:?}");
                assert!(!error.message.is_empty());
            }
        }
    });
}
