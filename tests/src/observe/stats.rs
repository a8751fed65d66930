//! Goodness of fit. All give a probability; small ones speak against "it is so by chance".

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// p of a χ² value.
#[must_use]
pub fn chi_square_p(value: f64, freedom: usize) -> f64 {
    ChiSquared::new(freedom as f64).map_or(1.0, |distribution| distribution.sf(value))
}

/// p of these counts under these expectations of the same sum.
#[must_use]
pub fn fit(observed: &[u64], expected: &[f64]) -> f64 {
    let value: f64 = observed
        .iter()
        .zip(expected)
        .map(|(&o, &e)| (o as f64 - e).powi(2) / e)
        .sum();
    chi_square_p(value, observed.len().saturating_sub(1))
}

/// p of these counts if all cells are equally likely.
#[must_use]
pub fn even(observed: &[u64]) -> f64 {
    let mean = observed.iter().sum::<u64>() as f64 / observed.len() as f64;
    fit(observed, &vec![mean; observed.len()])
}

/// p of both samples coming from one distribution (χ²; cells that are empty in both do not count).
#[must_use]
pub fn same(one: &[u64], other: &[u64]) -> f64 {
    let sums = [
        one.iter().sum::<u64>() as f64,
        other.iter().sum::<u64>() as f64,
    ];
    let all = sums[0] + sums[1];
    let (mut value, mut cells) = (0.0, 0_usize);
    for (&a, &b) in one.iter().zip(other).filter(|(a, b)| **a + **b > 0) {
        cells += 1;
        for (count, sum) in [(a, sums[0]), (b, sums[1])] {
            let expected = (a + b) as f64 * sum / all;
            value += (count as f64 - expected).powi(2) / expected;
        }
    }
    chi_square_p(value, cells.saturating_sub(1))
}

/// p of both samples coming from one continuous distribution (Kolmogorov and Smirnov).
#[must_use]
pub fn same_shape(one: &[u64], other: &[u64]) -> f64 {
    let (mut one, mut other) = (one.to_vec(), other.to_vec());
    one.sort_unstable();
    other.sort_unstable();
    let share = |sorted: &[u64], at: u64| {
        sorted.partition_point(|value| *value <= at) as f64 / sorted.len() as f64
    };
    let gap = one
        .iter()
        .chain(&other)
        .map(|&at| (share(&one, at) - share(&other, at)).abs())
        .fold(0.0, f64::max);
    let size = (one.len() as f64 * other.len() as f64 / (one.len() + other.len()) as f64).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * gap;
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * lambda * lambda).exp()
    };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// p of a sample being uniform on 0..=most (Kolmogorov and Smirnov against many evenly spaced points).
#[must_use]
pub fn uniform_up_to(sample: &[u64], most: u64) -> f64 {
    let points = 20_000;
    let even: Vec<u64> = (0..points).map(|i| most * i / (points - 1)).collect();
    same_shape(sample, &even)
}

/// What a geometric length of 1 to `most` looks like in `count` draws: the last cell holds all lengths from
/// `cells` to `most`.
#[must_use]
pub fn geometric(forward: f64, most: usize, cells: usize, count: u64) -> Vec<f64> {
    let p = |length: usize| forward.powi(length as i32 - 1) * (1.0 - forward);
    let all: f64 = (1..=most).map(p).sum();
    let mut expected: Vec<f64> = (1..cells).map(p).collect();
    expected.push((cells..=most).map(p).sum());
    expected
        .into_iter()
        .map(|p| p / all * count as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_chi_square() {
        for (value, freedom, p) in [
            (3.841_459, 1, 0.05),
            (18.307, 10, 0.05),
            (310.457, 255, 0.01),
            (0.0, 5, 1.0),
        ] {
            assert!(
                (chi_square_p(value, freedom) - p).abs() < 2e-4,
                "{value} {freedom}"
            );
        }
    }

    #[test]
    fn equal_samples_fit_and_others_do_not() {
        let (one, other): (Vec<u64>, Vec<u64>) = ((0..1_000).collect(), (300..1_300).collect());
        assert!(same_shape(&one, &one) > 0.99 && same_shape(&one, &other) < 1e-6);
        assert!(uniform_up_to(&one, 1_000) > 0.9 && uniform_up_to(&one, 1_300) < 1e-6);
        assert!(same(&[50, 50], &[100, 100]) > 0.9 && same(&[50, 50], &[150, 50]) < 1e-4);
        assert!(even(&[10, 11, 9, 10]) > 0.9 && even(&[100, 1, 1, 1]) < 1e-6);
        assert!((geometric(2.0 / 3.0, 12, 6, 1_000).iter().sum::<f64>() - 1_000.0).abs() < 1e-6);
    }
}

/// The lower end of the 95 % Wilson interval for `found` of `tried`.
#[must_use]
pub fn wilson(found: u64, tried: u64) -> f64 {
    if tried == 0 {
        return 0.0;
    }
    let (n, z) = (tried as f64, 1.959_964);
    let p = found as f64 / n;
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (p + z * z / (2.0 * n) - spread) / (1.0 + z * z / n)
}

#[cfg(test)]
mod wilson_tests {
    use super::wilson;

    /// Values of the published formula (E. B. Wilson, 1927), computed by hand with z = 1.96.
    #[test]
    fn the_lower_end_is_that_of_the_formula() {
        for (found, tried, low) in [(10, 10, 0.7225), (0, 10, 0.0), (81, 263, 0.2553)] {
            assert!(
                (wilson(found, tried) - low).abs() < 5e-4,
                "{found} of {tried}"
            );
        }
    }
}
