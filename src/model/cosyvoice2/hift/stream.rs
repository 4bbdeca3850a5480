use super::Hift;
use burn::tensor::Tensor;
pub struct VocoderStream {
    hift: Hift,
}
impl VocoderStream {
    pub fn new(hift: &Hift, _seed: u64) -> Self {
        Self { hift: hift.clone() }
    }
    pub fn push(&mut self, mel: Tensor<3>, _last: bool) -> Vec<f32> {
        if mel.dims()[2] == 0 {
            return vec![];
        }
        let n = mel.dims()[2] * 480 * self.hift.source().harmonics();
        self.hift.inference(mel, &vec![0.0; n], None).0.into_data().iter().collect()
    }
}
