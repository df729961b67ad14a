//! One score from several features.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Example;
use crate::{Error, Result};

/// A feature's part in the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its mean over the questions that fitted the weights.
    pub mean: f64,
    /// Its standard deviation there; 1 where it did not vary.
    pub scale: f64,
    /// Weight of `(value - mean) / scale`.
    pub weight: f64,
}

/// The chance that a question is answerable, as a logistic regression sees it; larger is more likely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Log-odds at the mean of all features.
    pub bias: f64,
    /// Features by name.
    pub features: Vec<Feature>,
}

/// More features than this are not for a few hundred questions.
const MAX_FEATURES: usize = 64;

impl Score {
    /// The score of a question, `0.0..=1.0`. A feature that is missing or not finite counts as its mean.
    pub fn of(&self, features: &BTreeMap<String, f64>) -> f64 {
        let part = |feature: &Feature| match features.get(&feature.name) {
            Some(value) if value.is_finite() => feature.weight * (value - feature.mean) / feature.scale,
            _ => 0.0,
        };
        sigmoid(self.bias + self.features.iter().map(part).sum::<f64>())
    }

    /// Fits bias and weights by iteratively reweighted least squares (Newton's method on the log-likelihood), weights
    /// pulled towards 0 with strength `l2`. Source: McCullagh and Nelder 1989, "Generalized Linear Models".
    pub(super) fn fit(examples: &[&Example], l2: f64) -> Result<Self> {
        let n_answerable = examples.iter().filter(|e| e.answerable).count();
        if n_answerable == 0 || n_answerable == examples.len() {
            return Err(Error::OneSided { answerable: n_answerable, unanswerable: examples.len() - n_answerable });
        }
        let names: BTreeSet<&str> = examples.iter().flat_map(|e| e.features.keys().map(String::as_str)).collect();
        if names.len() > MAX_FEATURES {
            return Err(Error::Options);
        }
        let mut score = Self { bias: 0.0, features: names.into_iter().map(|name| standard(name, examples)).collect() };
        // One column of ones for the bias, then the features in standard units.
        let rows: Vec<Vec<f64>> = examples.iter().map(|example| score.row(example)).collect();
        let labels: Vec<f64> = examples.iter().map(|e| f64::from(u8::from(e.answerable))).collect();
        let mut weights = vec![0.0; score.features.len() + 1];
        let mut best = loss(&rows, &labels, &weights, l2);
        for _ in 0..100 {
            let step = newton_step(&rows, &labels, &weights, l2);
            let mut size = 1.0;
            let next = loop {
                let next: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w + size * s).collect();
                let loss = loss(&rows, &labels, &next, l2);
                if loss < best {
                    best = loss;
                    break Some(next);
                }
                size /= 2.0;
                // A step this small changes nothing that counts.
                if size < 1e-6 {
                    break None;
                }
            };
            match next {
                Some(next) => weights = next,
                None => break,
            }
        }
        score.bias = rounded(weights[0]);
        for (feature, weight) in score.features.iter_mut().zip(&weights[1..]) {
            feature.weight = rounded(*weight);
        }
        Ok(score)
    }

    fn row(&self, example: &Example) -> Vec<f64> {
        let standard = |feature: &Feature| match example.features.get(&feature.name) {
            Some(value) if value.is_finite() => (value - feature.mean) / feature.scale,
            _ => 0.0,
        };
        std::iter::once(1.0).chain(self.features.iter().map(standard)).collect()
    }
}

fn standard(name: &str, examples: &[&Example]) -> Feature {
    let values: Vec<f64> =
        examples.iter().filter_map(|e| e.features.get(name)).copied().filter(|v| v.is_finite()).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| v / n).sum::<f64>();
    let scale = values.iter().map(|v| (v - mean) * (v - mean) / n).sum::<f64>().sqrt();
    let varies = scale.is_finite() && scale > 1e-12 * mean.abs().max(1e-300);
    let scale = if varies { rounded(scale) } else { 1.0 };
    Feature { name: name.to_owned(), mean: rounded(mean), scale, weight: 0.0 }
}

/// Twelve significant digits: few enough that any JSON reader gives back the same number.
pub(super) fn rounded(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Negative log-likelihood with the penalty; the bias is free.
fn loss(rows: &[Vec<f64>], labels: &[f64], weights: &[f64], l2: f64) -> f64 {
    let of = |(row, label): (&Vec<f64>, &f64)| {
        let x = dot(row, weights);
        // ln(1 + e^x) without overflow.
        x.max(0.0) + (-x.abs()).exp().ln_1p() - label * x
    };
    rows.iter().zip(labels).map(of).sum::<f64>() + l2 / 2.0 * dot(&weights[1..], &weights[1..])
}

fn newton_step(rows: &[Vec<f64>], labels: &[f64], weights: &[f64], l2: f64) -> Vec<f64> {
    let n = weights.len();
    let (mut hessian, mut gradient) = (vec![vec![0.0; n]; n], vec![0.0; n]);
    for (row, label) in rows.iter().zip(labels) {
        let p = sigmoid(dot(row, weights));
        for i in 0..n {
            gradient[i] += row[i] * (label - p);
            for j in 0..=i {
                hessian[i][j] += row[i] * row[j] * p * (1.0 - p);
            }
        }
    }
    for i in 0..n {
        // A little on the diagonal keeps the matrix positive where features repeat each other.
        hessian[i][i] += if i == 0 { 1e-9 } else { l2 + 1e-9 };
        gradient[i] -= if i == 0 { 0.0 } else { l2 * weights[i] };
    }
    solve(hessian, gradient)
}

/// Solves `a x = b` for a symmetric positive definite `a`, of which the lower triangle is given, by Cholesky's method.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i][j] - dot(&a[i][..j], &a[j][..j]);
            a[i][j] = if i == j { sum.max(1e-12).sqrt() } else { sum / a[j][j] };
        }
    }
    for i in 0..n {
        b[i] = (b[i] - dot(&a[i][..i], &b[..i])) / a[i][i];
    }
    for i in (0..n).rev() {
        let above: f64 = (i + 1..n).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - above) / a[i][i];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(x: f64, answerable: bool) -> Example {
        let features = BTreeMap::from([("x".to_owned(), x)]);
        Example { id: String::new(), features, answerable, correct: None }
    }

    #[test]
    fn a_system_is_solved() {
        let x = solve(vec![vec![4.0, 0.0], vec![2.0, 3.0]], vec![10.0, 8.0]);
        assert!((x[0] - 1.75).abs() < 1e-12 && (x[1] - 1.5).abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn the_fit_is_where_the_gradient_vanishes() {
        // Of four questions at each of two places 1 and 3 are answerable: without penalty the chances are these shares.
        let examples: Vec<Example> = (0..8)
            .map(|n| example(f64::from(n / 4), [true, false, false, false, true, true, true, false][n as usize]))
            .collect();
        let score = Score::fit(&examples.iter().collect::<Vec<_>>(), 0.0).unwrap();
        for (x, share) in [(0.0, 0.25), (1.0, 0.75)] {
            assert!((score.of(&example(x, true).features) - share).abs() < 1e-9);
        }
    }

    #[test]
    fn parted_and_odd_features_give_finite_scores() {
        let mut examples: Vec<Example> = (0..20).map(|n| example(f64::from(n), n > 9)).collect();
        for (n, value) in [(0, f64::NAN), (1, f64::INFINITY), (2, 1e300)] {
            examples[n].features.insert("odd".into(), value);
        }
        for example in &mut examples {
            example.features.insert("constant".into(), 7.0);
        }
        let score = Score::fit(&examples.iter().collect::<Vec<_>>(), 1.0).unwrap();
        assert!(score.features.iter().all(|f| f.weight.is_finite() && f.mean.is_finite() && f.scale > 0.0));
        assert!(score.of(&examples[19].features) > 0.5 && score.of(&examples[0].features) < 0.5);
        let one_sided: Vec<&Example> = examples[10..].iter().collect();
        assert!(matches!(Score::fit(&one_sided, 1.0), Err(Error::OneSided { answerable: 10, unanswerable: 0 })));
    }
}
