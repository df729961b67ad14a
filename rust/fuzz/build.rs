//! Compiles the counters for coverage of C code, which needs gcc's or clang's `-fsanitize-coverage=trace-pc` in `CFLAGS`.

fn main() {
    println!("cargo::rerun-if-changed=src/c_coverage.c");
    println!("cargo::rerun-if-changed=build.rs");
    cc::Build::new()
        .file("src/c_coverage.c")
        // Nothing in Rust names it.
        .link_lib_modifier("+whole-archive")
        .compile("c_coverage");
    // libFuzzer has a function of this name that only says that it is not supported.
    println!("cargo::rustc-link-arg=-Wl,--wrap=__sanitizer_cov_trace_pc");
}
