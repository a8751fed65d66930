//! Looks for secrets in bytes that are not supposed to hold them.

/// Part of a needle that counts as the needle.
const RUN: usize = 8;

/// One byte string to look for, under a name.
struct Pattern {
    name: String,
    bytes: Vec<u8>,
}

/// Byte strings to look for.
#[derive(Default)]
pub struct Needles {
    patterns: Vec<Pattern>,
    /// By the first two bytes, which patterns to compare.
    starts: Vec<Vec<u32>>,
}

impl Needles {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            patterns: Vec::new(),
            starts: vec![Vec::new(); 1 << 16],
        }
    }

    /// Looks for any run of eight bytes of `secret`, which must be random.
    #[must_use]
    pub fn any_run(mut self, name: &str, secret: &[u8]) -> Self {
        assert!(
            secret.len() >= RUN,
            "too short to be told from chance: {name}"
        );
        for run in secret.windows(RUN) {
            self.push(name, run);
        }
        self
    }

    /// Looks for all of `secret`.
    #[must_use]
    pub fn whole(mut self, name: &str, secret: &[u8]) -> Self {
        self.push(name, secret);
        self
    }

    fn push(&mut self, name: &str, bytes: &[u8]) {
        let index = u32::try_from(self.patterns.len()).expect("few patterns");
        self.starts[start(bytes)].push(index);
        self.patterns.push(Pattern {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
        });
    }

    /// The names of those that are in `hay`, each once.
    #[must_use]
    pub fn find(&self, hay: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for at in 0..hay.len().saturating_sub(1) {
            for &index in &self.starts[start(&hay[at..])] {
                let pattern = &self.patterns[index as usize];
                if hay[at..].starts_with(&pattern.bytes) && !found.contains(&pattern.name.as_str())
                {
                    found.push(pattern.name.as_str());
                }
            }
        }
        found
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_whole_needles_are_found_anywhere() {
        let secret: Vec<u8> = (100..120).collect();
        let needles = Needles::new()
            .any_run("run", &secret)
            .whole("whole", &secret);
        let mut hay = vec![0; 1_232];
        assert!(needles.find(&hay).is_empty());
        hay[1_224..].copy_from_slice(&secret[12..]);
        assert_eq!(needles.find(&hay), ["run"]);
        hay[..20].copy_from_slice(&secret);
        assert_eq!(needles.find(&hay), ["run", "whole"]);
    }
}
