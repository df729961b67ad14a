use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    /// In `0.0..1.0`.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Twelve uniforms: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

const TRIALS: u64 = 500;

/// A question as a search might see it: two features that tell something, and one that tells nothing.
fn example(random: &mut Random, n: usize) -> Example {
    let answerable = random.uniform() < 0.7;
    let shift = if answerable { 1.2 } else { 0.0 };
    let features = BTreeMap::from([
        ("dense".to_owned(), random.normal() + shift),
        ("margin".to_owned(), 0.1 * (random.normal() + shift)),
        ("noise".to_owned(), 100.0 * random.normal()),
    ]);
    Example { id: format!("q{n}-{}", random.0), features, answerable, correct: None }
}

fn examples(random: &mut Random, n: usize) -> Vec<Example> {
    (0..n).map(|n| example(random, n)).collect()
}

#[test]
fn the_share_of_answerable_questions_declined_is_as_promised() {
    // Scores of answerable questions are uniform, so the true share declined is the threshold itself.
    let mut shares = Vec::new();
    let mut n_kept = 0;
    for trial in 0..TRIALS {
        let mut random = Random(trial);
        let scores: Vec<f64> = (0..150).map(|_| random.uniform()).collect();
        shares.push(promised_threshold(&scores, 0.05, Guarantee::Expected).unwrap());
        n_kept += u64::from(promised_threshold(&scores, 0.05, Guarantee::Confidence(0.95)).unwrap() <= 0.05);
    }
    assert!(n_kept * 100 >= TRIALS * 95, "{n_kept} of {TRIALS}");
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    // Expected 7 / 151 = 0.0464 of 0.05; three standard errors of the mean are 0.0023. Far below would promise too little.
    assert!((0.0441..=0.05).contains(&mean), "{mean}");
}

#[test]
fn the_promise_holds_for_a_fitted_score_in_95_of_100_fits() {
    let options = CalibrationOptions { guarantee: Guarantee::Confidence(0.95), ..CalibrationOptions::default() };
    let mut fresh = Random(u64::MAX);
    let population: Vec<Example> = examples(&mut fresh, 15_000).into_iter().filter(|e| e.answerable).collect();
    let (mut n_kept, mut n_useful) = (0, 0);
    for trial in 0..TRIALS {
        let calibration = Calibration::fit(&examples(&mut Random(trial), 400), &options).unwrap();
        let n_declined = population.iter().filter(|e| calibration.declines(&e.features)).count();
        n_kept += u64::from(n_declined as f64 <= 0.05 * population.len() as f64);
        n_useful += u64::from(calibration.test.unanswerable_declined.rate > 0.1);
    }
    assert!(n_kept * 100 >= TRIALS * 95, "{n_kept} of {TRIALS}");
    assert!(n_useful * 100 >= TRIALS * 80, "a gate that never declines keeps every promise: {n_useful} of {TRIALS}");
}

#[test]
fn a_fit_does_not_depend_on_the_order_of_questions() {
    let mut questions = examples(&mut Random(3), 300);
    let fitted = Calibration::fit(&questions, &CalibrationOptions::default()).unwrap();
    questions.reverse();
    assert_eq!(Calibration::fit(&questions, &CalibrationOptions::default()).unwrap(), fitted);
    assert!(fitted.score.features[0].weight > 0.3 && fitted.score.features[1].weight > 0.3, "{fitted:?}");
    assert!(fitted.test.auc.unwrap() > 0.7);
    assert_eq!(fitted.version, CALIBRATION_VERSION);
    let (n_answerable, n_other) = (fitted.test.answerable_declined.of, fitted.test.unanswerable_declined.of);
    assert!(fitted.n_weights + fitted.n_threshold + n_answerable + n_other < questions.len());
}

#[test]
fn equal_ids_fall_into_one_part_and_parts_have_their_shares() {
    let n = (0..10_000).filter(|n| place(&format!("question-{n}")) < 0.35).count();
    // Four standard deviations of a share of 0.35 of 10,000.
    assert!(n.abs_diff(3_500) < 191, "{n}");
    assert_eq!(place("甲"), place("甲"));
}

#[test]
fn a_gate_is_written_to_a_manifest_and_read_again() {
    let questions = examples(&mut Random(5), 300);
    let calibration = Calibration::fit(&questions, &CalibrationOptions::default()).unwrap();
    for gate in [Gate::NoPromise { feature: "dense".into(), threshold: 0.4 }, Gate::Promised(calibration)] {
        let json = serde_json::to_string(&gate).unwrap();
        let read: Gate = serde_json::from_str(&json).unwrap();
        assert!(questions.iter().all(|q| read.declines(&q.features) == gate.declines(&q.features)));
        if let (Gate::Promised(read), Gate::Promised(written)) = (&read, &gate) {
            assert_eq!((&read.score, read.threshold), (&written.score, written.threshold));
        }
    }
    let default = Gate::NoPromise { feature: "dense".into(), threshold: 0.4 };
    assert!(serde_json::to_string(&default).unwrap().contains(r#""promise":"none""#));
    assert!(default.declines(&BTreeMap::from([("dense".to_owned(), 0.3)])));
    assert!(!default.declines(&BTreeMap::new()));
}

#[test]
fn a_broken_promise_and_a_hopeless_fit_are_errors() {
    let questions = examples(&mut Random(7), 300);
    let calibration = Calibration::fit(&questions, &CalibrationOptions::default()).unwrap();
    assert!(calibration.hold_to_promise(&calibration.test).is_ok());
    // Questions of another kind: all far below.
    let other: Vec<Example> = examples(&mut Random(8), 200)
        .into_iter()
        .map(|mut e| {
            e.features.values_mut().for_each(|value| *value -= 4.0);
            e
        })
        .collect();
    let measured = calibration.measure(&other);
    assert!(matches!(calibration.hold_to_promise(&measured), Err(Error::PromiseBroken { .. })));
    let few = Calibration::fit(&questions[..40], &CalibrationOptions::default());
    assert!(matches!(few, Err(Error::TooFewQuestions { .. })), "{few:?}");
    for options in [
        CalibrationOptions { share_for_weights: 0.9, ..CalibrationOptions::default() },
        CalibrationOptions { max_answerable_declined: 0.0, ..CalibrationOptions::default() },
        CalibrationOptions { l2: f64::NAN, ..CalibrationOptions::default() },
        CalibrationOptions { guarantee: Guarantee::Confidence(1.0), ..CalibrationOptions::default() },
    ] {
        assert!(matches!(Calibration::fit(&questions, &options), Err(Error::Options)));
    }
    assert!(matches!(Calibration::fit(&[], &CalibrationOptions::default()), Err(Error::OneSided { .. })));
}
