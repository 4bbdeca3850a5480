//! CAM++ speaker encoder, from the state dict and from the folded ONNX file.

use crate::support::{Golden, cases};
use burn::tensor::activation::relu;
use mynah::model::cosyvoice2::campplus::{Campplus, statistics};
use mynah::model::cosyvoice2::config::CampplusConfig;
use mynah::model::weights::Weights;

const TOLERANCE: f32 = 1e-4;

fn check(file: &str) {
    let device = crate::support::device();
    for case in cases("campplus") {
        let golden = Golden::open(&case);
        let config: CampplusConfig =
            serde_json::from_value(golden.config.clone()).expect("sizes in config.json");
        let weights = Weights::open(case.join(file)).expect(file);
        let inferred = CampplusConfig::from_weights(&weights).expect("sizes of the weights");
        assert_eq!(inferred, config, "sizes inferred from {file}");
        let model = Campplus::load(&weights.scope(&device), &config).expect(file);
        let unused = weights.unused();
        assert!(unused.iter().all(|name| name.ends_with("num_batches_tracked")), "{unused:?}");

        let short = golden.tensor::<3>("fbank_short", &device);
        let head = model.head(short.clone());
        golden.check("short_head_out", head.clone(), TOLERANCE);
        let tdnn = model.tdnn(head);
        golden.check("short_tdnn_out", tdnn.clone(), TOLERANCE);
        let transit1 = model.stage(0, tdnn);
        golden.check("short_transit1_out", transit1.clone(), TOLERANCE);
        let frames = relu(model.stage(2, model.stage(1, transit1)));
        golden.check("short_out_nonlinear_out", frames.clone(), TOLERANCE);
        let stats = statistics(frames);
        golden.check("short_stats_out", stats.clone(), TOLERANCE);
        golden.check("embedding_short", model.project(stats), TOLERANCE);
        golden.check("embedding_short", model.embed(short), TOLERANCE);
        golden.check("embedding", model.embed(golden.tensor("fbank", &device)), TOLERANCE);
    }
}

#[test]
fn golden_campplus() {
    check("weights.safetensors");
}

#[test]
fn golden_campplus_onnx() {
    check("campplus.onnx");
}
