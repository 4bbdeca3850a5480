//! The sizes in `cosyvoice2.yaml`.
//!
//! The file is in HyperPyYAML: a graph of Python objects, with tags such as `!new:` and `!name:`
//! for classes and functions and `!ref <key> * <other>` for values stated elsewhere. Nothing of it
//! is constructed: the tags of classes are passed over, references are resolved, and of the values
//! only those in [`SIZES`] are looked at.

use serde_json::Value;
use std::cell::Cell;
use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::TScalarStyle;

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most values that all sizes together may consist of, references followed.
const MAX_VALUES: usize = 10_000;

/// Where in [`ModelConfig`](super::config::ModelConfig) a size belongs, and where the file has it.
const SIZES: [(&str, &str); 43] = [
    ("sample_rate", "sample_rate"),
    ("token_frame_rate", "token_frame_rate"),
    ("token_mel_ratio", "token_mel_ratio"),
    ("spk_embed_dim", "spk_embed_dim"),
    ("campplus.embedding_size", "spk_embed_dim"),
    ("speech_token_size", "llm.speech_token_size"),
    ("mix_ratio", "llm.mix_ratio"),
    ("sampling.top_p", "llm.sampling.top_p"),
    ("sampling.top_k", "llm.sampling.top_k"),
    ("sampling.win_size", "llm.sampling.win_size"),
    ("sampling.tau_r", "llm.sampling.tau_r"),
    ("flow.vocab_size", "flow.vocab_size"),
    ("flow.pre_lookahead_len", "flow.pre_lookahead_len"),
    ("flow.encoder.output_size", "flow.encoder.output_size"),
    ("flow.encoder.attention_heads", "flow.encoder.attention_heads"),
    ("flow.encoder.linear_units", "flow.encoder.linear_units"),
    ("flow.encoder.num_blocks", "flow.encoder.num_blocks"),
    ("flow.encoder.static_chunk_size", "flow.encoder.static_chunk_size"),
    ("flow.inference_cfg_rate", "flow.decoder.cfm_params.content.inference_cfg_rate"),
    ("flow.decoder.channels", "flow.decoder.estimator.channels"),
    ("flow.decoder.attention_head_dim", "flow.decoder.estimator.attention_head_dim"),
    ("flow.decoder.n_blocks", "flow.decoder.estimator.n_blocks"),
    ("flow.decoder.num_mid_blocks", "flow.decoder.estimator.num_mid_blocks"),
    ("flow.decoder.num_heads", "flow.decoder.estimator.num_heads"),
    ("flow.decoder.static_chunk_size", "flow.decoder.estimator.static_chunk_size"),
    ("hift.in_channels", "hift.in_channels"),
    ("hift.base_channels", "hift.base_channels"),
    ("hift.nb_harmonics", "hift.nb_harmonics"),
    ("hift.sampling_rate", "hift.sampling_rate"),
    ("hift.nsf_alpha", "hift.nsf_alpha"),
    ("hift.nsf_sigma", "hift.nsf_sigma"),
    ("hift.nsf_voiced_threshold", "hift.nsf_voiced_threshold"),
    ("hift.lrelu_slope", "hift.lrelu_slope"),
    ("hift.audio_limit", "hift.audio_limit"),
    ("hift.f0_cond_channels", "hift.f0_predictor.cond_channels"),
    ("hift.istft_params.n_fft", "hift.istft_params.n_fft"),
    ("hift.istft_params.hop_len", "hift.istft_params.hop_len"),
    ("hift.upsample_rates", "hift.upsample_rates"),
    ("hift.upsample_kernel_sizes", "hift.upsample_kernel_sizes"),
    ("hift.resblock_kernel_sizes", "hift.resblock_kernel_sizes"),
    ("hift.resblock_dilation_sizes", "hift.resblock_dilation_sizes"),
    ("hift.source_resblock_kernel_sizes", "hift.source_resblock_kernel_sizes"),
    ("hift.source_resblock_dilation_sizes", "hift.source_resblock_dilation_sizes"),
];

/// The sizes that the file states, in the layout of [`ModelConfig`](super::config::ModelConfig).
pub(super) fn sizes(text: &str) -> Result<Value, String> {
    let root = parse(text)?;
    let document = Document { root: &root, values_left: Cell::new(MAX_VALUES) };
    let mut sizes = Value::Object(serde_json::Map::new());
    for (key, path) in SIZES {
        let Some(node) = document.find(path.split('.')) else { continue };
        let value = document.value(node, 0).map_err(|reason| format!("`{path}`: {reason}"))?;
        *key.split('.').fold(&mut sizes, |object, key| &mut object[key]) = value;
    }
    Ok(sizes)
}

enum Node {
    Scalar {
        text: String,
        plain: bool,
        tag: Option<Tag>,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
    /// An alias of an anchor; the official file has none.
    Alias,
}

/// A collection whose end is yet to come, and in a mapping the key whose value comes next.
struct Open {
    node: Node,
    key: Option<String>,
}

/// The first document of a file.
fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    loop {
        let (event, _) = parser.next_token().map_err(|e| format!("not valid YAML: {e}"))?;
        let node = match event {
            Event::MappingStart(..) | Event::SequenceStart(..) if open.len() == MAX_DEPTH => {
                return Err(format!("more than {MAX_DEPTH} levels deep"));
            }
            Event::MappingStart(..) => {
                open.push(Open { node: Node::Mapping(Vec::new()), key: None });
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open { node: Node::Sequence(Vec::new()), key: None });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(ended) => ended.node,
                None => continue,
            },
            Event::Scalar(text, style, _, tag) => {
                Node::Scalar { text, plain: style == TScalarStyle::Plain, tag }
            }
            Event::Alias(_) => Node::Alias,
            Event::StreamEnd => return Err("holds no document".into()),
            Event::Nothing | Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => {
                continue;
            }
        };
        let Some(parent) = open.last_mut() else { return Ok(node) };
        match (&mut parent.node, parent.key.take(), node) {
            (Node::Sequence(items), _, node) => items.push(node),
            (Node::Mapping(entries), Some(key), node) => entries.push((key, node)),
            (Node::Mapping(_), None, Node::Scalar { text, .. }) => parent.key = Some(text),
            _ => return Err("a key that is not a scalar".into()),
        }
    }
}

struct Document<'a> {
    root: &'a Node,
    values_left: Cell<usize>,
}

impl<'a> Document<'a> {
    fn find<'k>(&self, path: impl Iterator<Item = &'k str>) -> Option<&'a Node> {
        path.into_iter().try_fold(self.root, |node, key| match node {
            Node::Mapping(entries) => {
                entries.iter().rev().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        })
    }

    /// A number, a text or a list of such, references resolved.
    fn value(&self, node: &Node, depth: usize) -> Result<Value, String> {
        let left = self.values_left.get().checked_sub(1).filter(|_| depth < MAX_DEPTH);
        self.values_left.set(left.ok_or("refers to too many other values")?);
        match node {
            Node::Scalar { text, tag: Some(tag), .. } if is_reference(tag) => {
                self.expression(text, depth + 1)
            }
            Node::Scalar { tag: Some(tag), .. } if tag.handle == "!" => {
                Err(format!("expected a value, not `!{}`", tag.suffix))
            }
            Node::Scalar { text, plain: true, .. } => {
                Ok(number(text).unwrap_or_else(|| text.as_str().into()))
            }
            Node::Scalar { text, .. } => Ok(text.as_str().into()),
            Node::Sequence(items) => items.iter().map(|item| self.value(item, depth + 1)).collect(),
            Node::Mapping(_) => Err("expected a number or a list, not a mapping".into()),
            Node::Alias => Err("aliases of YAML are not supported".into()),
        }
    }

    /// What stands behind `!ref`: `<key>`, or sums and products of keys and numbers.
    fn expression(&self, text: &str, depth: usize) -> Result<Value, String> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'))
            && !name.contains('<')
        {
            return self.referred(name, depth);
        }
        let mut tokens = Tokens(text);
        let result = self.sum(&mut tokens, depth)?;
        if !tokens.0.is_empty() || !result.is_finite() {
            return Err(format!("cannot evaluate `{text}`"));
        }
        // Sizes are integers, also where they come out of a division.
        Ok(match result {
            whole if whole.fract() == 0.0 && whole.abs() < 2f64.powi(53) => (whole as i64).into(),
            other => other.into(),
        })
    }

    fn referred(&self, name: &str, depth: usize) -> Result<Value, String> {
        let name = name.trim();
        let node = self.find([name].into_iter()).ok_or_else(|| format!("no key `{name}`"))?;
        self.value(node, depth)
    }

    fn sum(&self, tokens: &mut Tokens, depth: usize) -> Result<f64, String> {
        let mut sum = self.product(tokens, depth)?;
        loop {
            if tokens.accept("+") {
                sum += self.product(tokens, depth)?;
            } else if tokens.accept("-") {
                sum -= self.product(tokens, depth)?;
            } else {
                return Ok(sum);
            }
        }
    }

    fn product(&self, tokens: &mut Tokens, depth: usize) -> Result<f64, String> {
        let mut product = self.factor(tokens, depth)?;
        loop {
            if tokens.accept("*") {
                product *= self.factor(tokens, depth)?;
            } else if tokens.accept("//") {
                product = (product / self.factor(tokens, depth)?).floor();
            } else if tokens.accept("/") {
                product /= self.factor(tokens, depth)?;
            } else {
                return Ok(product);
            }
        }
    }

    fn factor(&self, tokens: &mut Tokens, depth: usize) -> Result<f64, String> {
        let value = match tokens.reference() {
            Some(name) => self.referred(name, depth)?,
            None => number(tokens.digits()).unwrap_or_default(),
        };
        value.as_f64().ok_or_else(|| format!("expected a number or `<key>` before `{}`", tokens.0))
    }
}

fn is_reference(tag: &Tag) -> bool {
    tag.handle == "!" && tag.suffix == "ref"
}

/// An integer or a finite decimal number.
fn number(text: &str) -> Option<Value> {
    if let Ok(int) = text.parse::<i64>() {
        return Some(int.into());
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let float = text.parse::<f64>().ok().filter(|value| numeric && value.is_finite());
    float.map(Value::from)
}

/// What is left of an expression.
struct Tokens<'t>(&'t str);

impl<'t> Tokens<'t> {
    fn accept(&mut self, operator: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(operator);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn reference(&mut self) -> Option<&'t str> {
        let (name, rest) = self.0.trim_start().strip_prefix('<')?.split_once('>')?;
        self.0 = rest;
        Some(name)
    }

    fn digits(&mut self) -> &'t str {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        self.0 = rest;
        digits
    }
}

#[cfg(test)]
mod tests;
