//! Repetition-aware sampling: candidates, their weights, and when the second draw comes.

use crate::support::{Golden, cases};
use mynah::model::cosyvoice2::config::SamplingConfig;
use mynah::model::cosyvoice2::sampling::{Nucleus, is_repetition, without};

#[test]
fn golden_ras_sampling() {
    for dir in cases("ras_sampling") {
        let golden = Golden::open(&dir);
        let config: SamplingConfig = serde_json::from_value(golden.config.clone()).unwrap();
        let mut case = 0;
        while golden.has(&format!("{case}_logp")) {
            let mut logp = golden.f32(&format!("{case}_logp"));
            let nucleus = Nucleus::new(&logp, config.top_p, config.top_k).unwrap();
            assert_eq!(nucleus.ids, golden.ids(&format!("{case}_cand_ids")), "case {case}");
            let name = format!("{case}_cand_prob");
            golden.check_values(&name, &nucleus.probabilities, 1e-6);
            let name = format!("{case}_fallback_prob");
            if golden.has(&name) {
                let rest = without(&mut logp, nucleus.ids[0]).unwrap();
                golden.check_values(&name, &rest, 1e-6);
            }
            case += 1;
        }
        assert!(case > 0);
        for case in golden.config["cases"].as_array().unwrap() {
            let history: Vec<u32> = serde_json::from_value(case["history"].clone()).unwrap();
            let pick = case["nucleus_pick"].as_u64().unwrap() as u32;
            let fires = is_repetition(&config, &history, pick);
            assert_eq!(Some(fires), case["fallback"].as_bool(), "{case}");
        }
    }
}
