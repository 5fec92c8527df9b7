//! Finds the system's libdpdk, compiles the shim for its inline functions and generates bindings.
//!
//! The flags that pkg-config gives (`-include rte_config.h`, `-march=...`) decide the layout of
//! structures and which inline functions exist, so compiler and bindgen get the very same ones.

use std::{env, path::PathBuf, process::Command};

/// The oldest libdpdk that has every function that is bound.
const OLDEST: &str = "22.11";

fn main() {
    if let Err(problem) = build() {
        eprintln!("error: {problem}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    for file in ["build.rs", "shim/shim.h", "shim/shim.c"] {
        println!("cargo::rerun-if-changed={file}");
    }
    pkg_config::Config::new().atleast_version(OLDEST).probe("libdpdk").map_err(|error| {
        format!(
            "libdpdk {OLDEST} or later is needed (Debian, Ubuntu: apt-get install libdpdk-dev \
             pkg-config; or build with --no-default-features, without DPDK ports): {error}"
        )
    })?;
    let flags = compiler_flags()?;
    compile_shim(&flags)?;
    generate_bindings(&flags)
}

/// All flags: the `pkg-config` crate would keep only folders and definitions.
fn compiler_flags() -> Result<Vec<String>, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(&program)
        .args(["--cflags", "libdpdk"])
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} --cflags libdpdk failed ({})", output.status));
    }
    let flags = String::from_utf8_lossy(&output.stdout);
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}

fn compile_shim(flags: &[String]) -> Result<(), String> {
    let mut compiler = cc::Build::new();
    compiler.file("shim/shim.c").opt_level(3).warnings(true).define("ALLOW_EXPERIMENTAL_API", None);
    for flag in flags {
        compiler.flag(flag);
    }
    compiler.try_compile("mos_dpdk_shim").map_err(|error| format!("cannot compile shim.c: {error}"))
}

fn generate_bindings(flags: &[String]) -> Result<(), String> {
    let bindings = bindgen::Builder::default()
        .header("shim/shim.h")
        .clang_args(flags)
        .allowlist_function("mos_.*")
        .allowlist_var("(mos|MOS)_.*")
        .allowlist_function("rte_eal_(init|cleanup|hotplug_add|hotplug_remove)")
        .allowlist_function("rte_thread_(register|unregister)")
        .allowlist_function("rte_strerror")
        .allowlist_function("rte_log_(register|set_level|set_global_level)")
        .allowlist_function("rte_pktmbuf_(pool_create|free_bulk)")
        .allowlist_function("rte_mempool_(free|avail_count)")
        .allowlist_function("rte_eth_dev_(get_port_by_name|info_get|configure|start|stop|close)")
        .allowlist_function("rte_eth_dev_(socket_id|adjust_nb_rx_tx_desc)")
        .allowlist_function("rte_eth_(rx|tx)_queue_setup")
        .allowlist_function("rte_eth_(promiscuous_enable|stats_get)")
        .allowlist_var("RTE_(PKTMBUF_HEADROOM|MAX_LCORE|LOG_.*|MEMPOOL_CACHE_MAX_SIZE)")
        // The shim knows the layout of packets; Rust only holds pointers to them.
        .opaque_type("rte_(mbuf|mempool)")
        // Packed and aligned at once, which Rust cannot express; only reachable, never used.
        .opaque_type("rte_(arp|l2tpv2|ecpri|gtp|flow)_.*")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .generate_comments(false)
        .layout_tests(false)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .generate()
        .map_err(|error| {
            format!("cannot generate bindings (Debian: apt-get install libclang-dev): {error}")
        })?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    let file = PathBuf::from(out).join("bindings.rs");
    bindings
        .write_to_file(&file)
        .map_err(|error| format!("cannot write {}: {error}", file.display()))
}
