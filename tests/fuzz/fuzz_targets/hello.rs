#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    deut_fuzz::run("hello", data);
});
