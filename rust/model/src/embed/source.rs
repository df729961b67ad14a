//! What a sentence-transformers folder says about its model, read into one checked description.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

use super::Pooling;
use super::prompt::Prompts;

/// No JSON file of a model folder is read beyond this; the largest real ones (`tokenizer.json`) have some 35 MB.
const MAX_JSON: u64 = 256 << 20;
/// Limits on a model's shape: far beyond every embedder there is, small enough that products cannot overflow.
const MAX_DIM: u64 = 1 << 20;
const MAX_LAYERS: u64 = 512;

/// Shape of a BERT-like encoder.
#[derive(Clone, Debug)]
pub(super) struct BertShape {
    pub(super) hidden: usize,
    pub(super) feed_forward: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) vocabulary: usize,
    /// Rows of the position table that a text can use.
    pub(super) positions: usize,
    /// Leading rows of the position table that no text uses (RoBERTa counts positions from `padding_idx + 1`).
    pub(super) position_offset: usize,
    pub(super) token_types: usize,
    pub(super) layer_norm_eps: f32,
}

/// Shape of a bidirectional Gemma 3 encoder.
#[derive(Clone, Debug)]
pub(super) struct GemmaShape {
    pub(super) hidden: usize,
    pub(super) feed_forward: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) rms_norm_eps: f32,
    pub(super) rope_theta: f32,
    pub(super) rope_local_theta: f32,
    /// As `config.json` has it: the whole width; a position sees `window / 2` on either side.
    pub(super) window: usize,
    /// For each layer whether it attends within the window only.
    pub(super) windowed: Vec<bool>,
}

/// The architecture of the transformer.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Bert(BertShape),
    Gemma(GemmaShape),
}

/// A dense layer behind the pooling.
#[derive(Clone, Debug)]
pub(super) struct DenseModule {
    pub(super) dir: PathBuf,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) bias: bool,
}

/// Everything the converter needs besides weights and vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The folder of the transformer itself.
    pub(super) transformer_dir: PathBuf,
    pub(super) shape: Shape,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    pub(super) dense: Vec<DenseModule>,
    pub(super) prompts: Prompts,
    pub(super) max_tokens: usize,
    /// `do_lower_case` of the sentence-transformers module: lower-cases before the tokenizer does anything.
    pub(super) lower_case_first: bool,
}

impl Source {
    pub(super) fn hidden(&self) -> usize {
        match &self.shape {
            Shape::Bert(shape) => shape.hidden,
            Shape::Gemma(shape) => shape.hidden,
        }
    }

    pub(super) fn vocabulary(&self) -> usize {
        match &self.shape {
            Shape::Bert(shape) => shape.vocabulary,
            Shape::Gemma(shape) => shape.vocabulary,
        }
    }

    /// Length of the vectors that come out.
    pub(super) fn dims(&self) -> usize {
        self.dense.last().map_or(self.hidden(), |dense| dense.outputs)
    }

    /// Reads the folder.
    ///
    /// # Errors
    /// [`Error::Io`] for files that cannot be read, [`Error::Damaged`] for values that make no sense,
    /// [`Error::Unsupported`] for an architecture, module or pooling that this crate does not run.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let modules = read_modules(dir)?;
        let transformer_dir = modules.transformer;
        let config = Fields::read(&transformer_dir.join("config.json"))?;
        let shape = read_shape(&config)?;
        let positions = match &shape {
            Shape::Bert(shape) => shape.positions,
            Shape::Gemma(shape) => shape.positions,
        };
        let (pooling, include_prompt) = match &modules.pooling {
            Some(dir) => read_pooling(&dir.join("config.json"))?,
            None => (Pooling::Mean, true),
        };
        if !include_prompt {
            return Err(unsupported(dir, "pooling", "include_prompt = false"));
        }
        let mut width = match &shape {
            Shape::Bert(shape) => shape.hidden,
            Shape::Gemma(shape) => shape.hidden,
        };
        let mut dense = Vec::new();
        for dense_dir in &modules.dense {
            let module = read_dense(dense_dir)?;
            if module.inputs != width {
                let reason = format!("takes {} values, the layer before gives {width}", module.inputs);
                return Err(damaged(&dense_dir.join("config.json"), reason));
            }
            width = module.outputs;
            dense.push(module);
        }
        if dense.len() > 2 {
            return Err(unsupported(dir, "number of dense layers", dense.len().to_string()));
        }

        let limits = first_existing(
            &transformer_dir,
            &["sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json"],
        );
        let (max_seq_length, lower_case_first) = match limits {
            Some(path) => {
                let fields = Fields::read(&path)?;
                (fields.optional_size("max_seq_length", MAX_DIM)?, fields.flag("do_lower_case", false)?)
            }
            None => (None, false),
        };
        let max_tokens = match max_seq_length {
            Some(limit) => limit,
            None => tokenizer_limit(&transformer_dir)?.unwrap_or(positions),
        }
        .min(positions);
        if max_tokens < 4 {
            return Err(damaged(dir, format!("at most {max_tokens} tokens per text")));
        }
        let prompts_path = dir.join("config_sentence_transformers.json");
        let prompts = if prompts_path.exists() {
            let fields = Fields::read(&prompts_path)?;
            Prompts::from_config(fields.value.get("prompts"))
        } else {
            Prompts::default()
        };
        Ok(Self {
            transformer_dir,
            shape,
            pooling,
            normalize: modules.normalize,
            dense,
            prompts,
            max_tokens,
            lower_case_first,
        })
    }
}

struct Modules {
    transformer: PathBuf,
    pooling: Option<PathBuf>,
    dense: Vec<PathBuf>,
    normalize: bool,
}

#[derive(Deserialize)]
struct ModuleEntry {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

fn read_modules(dir: &Path) -> Result<Modules> {
    let mut modules = Modules { transformer: dir.to_owned(), pooling: None, dense: Vec::new(), normalize: false };
    let path = dir.join("modules.json");
    if !path.exists() {
        // A bare transformers folder: mean pooling, normalised, which is what sentence-transformers itself assumes
        // (without the normalisation; cosine does not see the difference).
        modules.normalize = true;
        let pooling = dir.join("1_Pooling");
        modules.pooling = pooling.join("config.json").exists().then_some(pooling);
        return Ok(modules);
    }
    let entries: Vec<ModuleEntry> = read_json(&path)?;
    for entry in entries {
        let inside =
            entry.path.is_empty() || Path::new(&entry.path).file_name().is_some_and(|name| name == entry.path.as_str());
        if !inside {
            return Err(damaged(&path, "a module path that leaves the folder"));
        }
        let module_dir = if entry.path.is_empty() { dir.to_owned() } else { dir.join(&entry.path) };
        match entry.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => modules.transformer = module_dir,
            "Pooling" => modules.pooling = Some(module_dir),
            "Dense" => modules.dense.push(module_dir),
            "Normalize" => modules.normalize = true,
            _ => return Err(unsupported(&path, "module", entry.kind)),
        }
    }
    Ok(modules)
}

fn read_pooling(path: &Path) -> Result<(Pooling, bool)> {
    let fields = Fields::read(path)?;
    let mut found = Vec::new();
    if let Some(mode) = fields.text("pooling_mode") {
        // Newer sentence-transformers (5.7 is one): one word instead of a flag for each mode.
        found.push(match mode {
            "mean" => Pooling::Mean,
            "cls" => Pooling::Cls,
            "lasttoken" => Pooling::Last,
            other => return Err(unsupported(path, "pooling", other)),
        });
    }
    for (flag, pooling) in [
        ("pooling_mode_mean_tokens", Some(Pooling::Mean)),
        ("pooling_mode_cls_token", Some(Pooling::Cls)),
        ("pooling_mode_lasttoken", Some(Pooling::Last)),
        ("pooling_mode_max_tokens", None),
        ("pooling_mode_mean_sqrt_len_tokens", None),
        ("pooling_mode_weightedmean_tokens", None),
    ] {
        if fields.flag(flag, false)? {
            found.push(pooling.ok_or_else(|| unsupported(path, "pooling", flag))?);
        }
    }
    match found[..] {
        [pooling] => Ok((pooling, fields.flag("include_prompt", true)?)),
        _ => Err(unsupported(path, "pooling", format!("{} modes at once", found.len()))),
    }
}

/// `model_max_length` of the tokenizer, which counts where sentence-transformers' own file names no limit; "no limit" is
/// written there as 10^30.
fn tokenizer_limit(dir: &Path) -> Result<Option<usize>> {
    let path = dir.join("tokenizer_config.json");
    if !path.exists() {
        return Ok(None);
    }
    let limit = Fields::read(&path)?.value.get("model_max_length").and_then(Value::as_f64);
    Ok(limit.filter(|&limit| limit >= 1.0 && limit <= MAX_DIM as f64).map(|limit| limit as usize))
}

fn read_dense(dir: &Path) -> Result<DenseModule> {
    let path = dir.join("config.json");
    let fields = Fields::read(&path)?;
    let activation = fields.text("activation_function").unwrap_or("torch.nn.modules.linear.Identity");
    if !activation.ends_with(".Identity") {
        return Err(unsupported(&path, "activation of a dense layer", activation));
    }
    Ok(DenseModule {
        dir: dir.to_owned(),
        inputs: fields.size("in_features", MAX_DIM)?,
        outputs: fields.size("out_features", MAX_DIM)?,
        bias: fields.flag("bias", true)?,
    })
}

fn read_shape(config: &Fields) -> Result<Shape> {
    let model_type = config.text("model_type").unwrap_or_default();
    match model_type {
        "bert" | "xlm-roberta" | "roberta" => read_bert(config, model_type != "bert").map(Shape::Bert),
        "gemma3_text" => read_gemma(config).map(Shape::Gemma),
        other => Err(unsupported(&config.path, "architecture", other)),
    }
}

fn read_bert(config: &Fields, roberta: bool) -> Result<BertShape> {
    for (key, wanted) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
        let found = config.text(key).unwrap_or(wanted);
        if found != wanted {
            return Err(unsupported(&config.path, key, found));
        }
    }
    let position_offset = if roberta { config.size_or("pad_token_id", 1, MAX_DIM)? + 1 } else { 0 };
    let rows = config.size("max_position_embeddings", MAX_DIM)?;
    let shape = BertShape {
        hidden: config.size("hidden_size", MAX_DIM)?,
        feed_forward: config.size("intermediate_size", MAX_DIM)?,
        layers: config.size("num_hidden_layers", MAX_LAYERS)?,
        heads: config.size("num_attention_heads", MAX_DIM)?,
        vocabulary: config.size("vocab_size", 1 << 24)?,
        positions: rows.saturating_sub(position_offset),
        position_offset,
        token_types: config.size_or("type_vocab_size", 2, MAX_DIM)?,
        layer_norm_eps: config.positive("layer_norm_eps", 1e-12)?,
    };
    if !shape.hidden.is_multiple_of(shape.heads) || shape.positions == 0 {
        return Err(damaged(&config.path, "hidden_size, num_attention_heads and positions do not fit together"));
    }
    Ok(shape)
}

fn read_gemma(config: &Fields) -> Result<GemmaShape> {
    let path = &config.path;
    if !config.flag("use_bidirectional_attention", false)? {
        return Err(unsupported(path, "attention", "causal"));
    }
    let activation = config.text("hidden_activation").unwrap_or("gelu_pytorch_tanh");
    if activation != "gelu_pytorch_tanh" {
        return Err(unsupported(path, "hidden_activation", activation));
    }
    for key in ["attn_logit_softcapping", "rope_scaling"] {
        if config.value.get(key).is_some_and(|value| !value.is_null()) {
            return Err(unsupported(path, key, "set"));
        }
    }
    if config.flag("attention_bias", false)? {
        return Err(unsupported(path, "attention_bias", "true"));
    }
    let layers = config.size("num_hidden_layers", MAX_LAYERS)?;
    let heads = config.size("num_attention_heads", MAX_DIM)?;
    let hidden = config.size("hidden_size", MAX_DIM)?;
    let head_dim = config.size_or("head_dim", 256, MAX_DIM)?;
    let scalar = config.positive("query_pre_attn_scalar", head_dim as f32)?;
    if scalar != head_dim as f32 {
        return Err(unsupported(path, "query_pre_attn_scalar", scalar.to_string()));
    }
    let windowed: Vec<bool> = match config.value.get("layer_types").and_then(Value::as_array) {
        Some(kinds) => kinds.iter().map(|kind| kind.as_str() == Some("sliding_attention")).collect(),
        None => {
            let every = config.size_or("sliding_window_pattern", 6, MAX_LAYERS)?.max(1);
            (1..=layers).map(|layer| layer % every != 0).collect()
        }
    };
    let shape = GemmaShape {
        hidden,
        feed_forward: config.size("intermediate_size", MAX_DIM)?,
        layers,
        heads,
        kv_heads: config.size_or("num_key_value_heads", heads, MAX_DIM)?,
        head_dim,
        vocabulary: config.size("vocab_size", 1 << 24)?,
        positions: config.size("max_position_embeddings", MAX_DIM)?,
        rms_norm_eps: config.positive("rms_norm_eps", 1e-6)?,
        rope_theta: config.positive("rope_theta", 1_000_000.0)?,
        rope_local_theta: config.positive("rope_local_base_freq", 10_000.0)?,
        window: config.size("sliding_window", MAX_DIM)?,
        windowed,
    };
    if shape.windowed.len() != layers
        || !shape.heads.is_multiple_of(shape.kv_heads)
        || !shape.head_dim.is_multiple_of(2)
    {
        return Err(damaged(path, "layer_types, num_key_value_heads or head_dim do not fit the rest"));
    }
    Ok(shape)
}

/// A JSON object together with the file it came from, for errors that name both.
pub(super) struct Fields {
    pub(super) path: PathBuf,
    pub(super) value: Value,
}

impl Fields {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let value: Value = read_json(path)?;
        if !value.is_object() {
            return Err(damaged(path, "not a JSON object"));
        }
        Ok(Self { path: path.to_owned(), value })
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key).and_then(Value::as_str)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(damaged(&self.path, format!("{key} is not true or false"))),
        }
    }

    /// A whole number, at least 1.
    fn size(&self, key: &str, max: u64) -> Result<usize> {
        match self.optional_size(key, max)? {
            Some(size) if size > 0 => Ok(size),
            Some(_) => Err(damaged(&self.path, format!("{key} is zero"))),
            None => Err(damaged(&self.path, format!("{key} is missing"))),
        }
    }

    fn size_or(&self, key: &str, default: usize, max: u64) -> Result<usize> {
        Ok(self.optional_size(key, max)?.unwrap_or(default))
    }

    fn optional_size(&self, key: &str, max: u64) -> Result<Option<usize>> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(size) if size <= max => Ok(Some(size as usize)),
                _ => Err(damaged(&self.path, format!("{key} is not a whole number of at most {max}"))),
            },
        }
    }

    fn positive(&self, key: &str, default: f32) -> Result<f32> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_f64().map(|value| value as f32) {
                Some(value) if value > 0.0 && value.is_finite() => Ok(value),
                _ => Err(damaged(&self.path, format!("{key} is not a positive number"))),
            },
        }
    }
}

/// Reads and parses a JSON file of bounded size.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_bounded(path, MAX_JSON)?;
    serde_json::from_slice(&bytes).map_err(|e| damaged(path, format!("JSON: {e}")))
}

/// Reads a file that must not be longer than `max` bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > max {
        return Err(damaged(path, format!("longer than {max} bytes")));
    }
    Ok(bytes)
}

pub(super) fn first_existing(dir: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| dir.join(name)).find(|path| path.exists())
}

pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Error {
    Error::Damaged { path: path.to_owned(), reason: reason.into() }
}

pub(super) fn unsupported(path: &Path, what: &str, found: impl Into<String>) -> Error {
    Error::Unsupported { path: path.to_owned(), what: what.to_owned(), found: found.into() }
}
