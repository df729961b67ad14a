// Coverage of SQLite for libFuzzer, which knows only counters that clang makes. Code that was compiled with
// -fsanitize-coverage=trace-pc, as gcc can, calls __sanitizer_cov_trace_pc at each branch; the linker turns that into the
// function below, and libFuzzer takes what stands in the section __libfuzzer_extra_counters as further counters.
#include <stdint.h>

#define COUNTERS (1u << 15)

__attribute__((section("__libfuzzer_extra_counters"), used)) static uint8_t counters[COUNTERS];

// Its own branches must not be counted, or it would call itself.
#ifdef __clang__
__attribute__((no_sanitize("coverage")))
#else
__attribute__((no_sanitize_coverage))
#endif
void __wrap___sanitizer_cov_trace_pc(void) {
    uintptr_t at = (uintptr_t)__builtin_return_address(0);
    counters[(at ^ (at >> 15)) % COUNTERS]++;
}
