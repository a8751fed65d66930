//! What all fuzz binaries share. The bodies live in `deut_tests::fuzz`.

/// Runs a target's body.
pub fn run(name: &str, data: &[u8]) {
    let target = deut_tests::fuzz::target(name);
    (target.expect("a target of this name").body)(data);
}
