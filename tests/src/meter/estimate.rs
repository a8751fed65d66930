//! A measured figure with its standard error, and beside it what it should be.

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// One standard error.
    pub error: f64,
    /// Independent samples behind it.
    pub samples: u64,
    /// The closed form, where one exists.
    pub closed: Option<f64>,
    /// Yes or no counted in independent samples: the error under the closed form is known exactly.
    binary: bool,
    /// What the figure is a share of.
    of: f64,
}

impl Estimate {
    /// A figure that follows from another one by a function with this slope.
    #[must_use]
    pub fn derived(from: &Self, value: f64, slope: f64) -> Self {
        Self {
            value,
            error: (slope * from.error).abs(),
            closed: None,
            binary: false,
            ..*from
        }
    }

    /// The same figure with another standard error.
    #[must_use]
    pub const fn with_error(self, error: f64) -> Self {
        Self { error, ..self }
    }

    /// Sets the closed form beside it.
    #[must_use]
    pub const fn against(self, closed: f64) -> Self {
        Self {
            closed: Some(closed),
            ..self
        }
    }

    /// The standard error to judge by: that of the closed form, if it says one.
    fn judged_by(&self, closed: f64) -> f64 {
        let share = (0.0..=1.0).contains(&closed);
        if share && (self.binary || self.error == 0.0) {
            (closed * (1.0 - closed) / self.of.max(1.0)).sqrt()
        } else {
            self.error
        }
    }

    /// How many standard errors `expected` is away. Without a spread any difference is infinitely many.
    #[must_use]
    pub fn off(&self, expected: f64) -> f64 {
        let (gap, error) = ((self.value - expected).abs(), self.judged_by(expected));
        if gap < 1e-12 {
            0.0
        } else if error > 0.0 {
            gap / error
        } else {
            f64::INFINITY
        }
    }

    /// How many standard errors the closed form is away; `None` without one.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        self.closed.map(|closed| self.off(closed))
    }
}

/// Adds up a ratio of two sums over independent samples. Several draws on one sample count as one.
#[derive(Clone, Debug, Default)]
pub struct Ratio {
    top: f64,
    bottom: f64,
    /// Sums of products over samples: top², top × bottom, bottom².
    products: [f64; 3],
    samples: u64,
    open: Option<(u64, f64, f64)>,
    mixed: bool,
}

impl Ratio {
    /// One draw of this sample: adds to both sums. Draws of one sample follow one another.
    pub fn add(&mut self, sample: u64, top: f64, bottom: f64) {
        let yes_or_no = |value: f64| value == 0.0 || value == 1.0;
        self.mixed |= !yes_or_no(top) || !yes_or_no(bottom);
        match &mut self.open {
            Some((open, a, b)) if *open == sample => {
                self.mixed = true;
                (*a, *b) = (*a + top, *b + bottom);
            }
            _ => {
                self.close();
                self.open = Some((sample, top, bottom));
            }
        }
    }

    /// A draw that says yes or no.
    pub fn count(&mut self, sample: u64, yes: bool) {
        self.add(sample, f64::from(u8::from(yes)), 1.0);
    }

    fn close(&mut self) {
        if let Some((_, a, b)) = self.open.take() {
            self.top += a;
            self.bottom += b;
            let [aa, ab, bb] = &mut self.products;
            (*aa, *ab, *bb) = (*aa + a * a, *ab + a * b, *bb + b * b);
            self.samples += 1;
        }
    }

    /// The ratio with its standard error (linearised). Nothing counted: not a number.
    #[must_use]
    pub fn estimate(mut self) -> Estimate {
        self.close();
        let value = self.top / self.bottom;
        let [aa, ab, bb] = self.products;
        let rest = (aa - 2.0 * value * ab + value * value * bb).max(0.0);
        let samples = self.samples as f64;
        let correction = if samples > 1.0 {
            samples / (samples - 1.0)
        } else {
            1.0
        };
        Estimate {
            value,
            error: (rest * correction).sqrt() / self.bottom,
            samples: self.samples,
            closed: None,
            binary: !self.mixed,
            of: self.bottom,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_its_binomial_error() {
        let mut ratio = Ratio::default();
        (0..1_000).for_each(|sample| ratio.count(sample, sample % 4 == 0));
        let estimate = ratio.estimate();
        assert!((estimate.value - 0.25).abs() < 1e-12);
        assert!((estimate.error - (0.25_f64 * 0.75 / 999.0).sqrt()).abs() < 1e-9);
        assert!(estimate.off(0.25) < 1e-9 && estimate.off(0.30) > 3.0 && estimate.off(0.26) < 1.0);
    }

    #[test]
    fn many_draws_of_one_sample_count_once() {
        let mut ratio = Ratio::default();
        for sample in 0..100 {
            (0..50).for_each(|_| ratio.count(sample, sample % 2 == 0));
        }
        let estimate = ratio.estimate();
        assert_eq!(estimate.samples, 100);
        assert!((estimate.error - (0.25_f64 / 99.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn nothing_seen_is_judged_by_the_closed_form() {
        let mut ratio = Ratio::default();
        (0..100).for_each(|sample| ratio.count(sample, false));
        let estimate = ratio.estimate();
        assert!(estimate.off(0.01) < 1.1 && estimate.off(0.5) > 9.0 && estimate.off(0.0) == 0.0);
        assert!(estimate.off(1.0).is_infinite());
    }
}
