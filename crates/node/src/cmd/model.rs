//! `proofmesh model`: import an ONNX model, see a model file.

use crate::fault::{Fault, Result};
use crate::out::Context;
use proofmesh_graph::program::WeightMode;
use proofmesh_market::Hash32;
use proofmesh_model::{
    Evaluation, ImportOptions, InputScale, Kernels, ModelFile, bundle, data, evaluate, import, import_exact,
    zoo,
};
use proofmesh_prover::{Machine, forecast};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Turn a model into a provable integer program: one .pmesh file
    #[command(after_help = "\
Examples:
  proofmesh model import examples/digits --out digits.pmesh
  proofmesh model import examples/weather-qod --out qod.pmesh --output argmax --output 'min(0)<=-40'
  proofmesh model import examples/weather-qod --out week.pmesh --output 'count(min(0)<=-40)' --output 'sum(max(0))'
  proofmesh model import net.onnx --calibrate typical.npy --range -1,1 --out net.pmesh
  proofmesh model import int8.tflite --exact=xnnpack --out int8.pmesh

A folder must hold a bundle.json. Tensors that are clipped or too coarse are warned about before anything is
proved; an operator that is not supported is refused with its node's name and what to do.")]
    Import(ImportArgs),
    /// Make a model to measure with, from a seed: a folder with a bundle that `model import` reads
    #[command(after_help = "\
Examples:
  proofmesh model make --list
  proofmesh model make resnet8 --seed 1 --out resnet8
  proofmesh model import resnet8 --out resnet8.pmesh")]
    Make(MakeArgs),
    /// What a model file holds
    Show {
        /// The file [default: the weather model that this binary carries]
        file: Option<PathBuf>,
    },
}

/// Arguments of `model import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// An ONNX file (with --exact also TensorFlow Lite), or a folder with a bundle.json
    source: PathBuf,
    /// Where the model file goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which model of a bundle, by its ONNX file name
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Typical inputs (.npy, .npz, .csv), one a row; a bundle has its own
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// What a proof shows, in order; may be repeated. Of each input: values, argmax, committed, NUMBER<=T. Of the whole
    /// batch: sum(NUMBER), count(NUMBER<=T), count(NUMBER>=T), increasing(NUMBER), increasing(NUMBER,ends). NUMBER is output,
    /// output(I), min(CHANNEL), max(CHANNEL), input(CHANNEL) or input(CHANNEL,I)
    #[arg(long = "output", value_name = "OUTPUT")]
    outputs: Vec<String>,
    /// Channels of the input that everybody may see
    #[arg(long, value_name = "FROM..UNTIL")]
    public: Option<String>,
    /// Range of the sensor's real values
    #[arg(long, value_name = "LO,HI", allow_hyphen_values = true)]
    range: Option<String>,
    /// The model is int8 already (TensorFlow Lite, ONNX QDQ or QLinear): prove its own integers. KERNELS says whose rounding a
    /// TensorFlow Lite file means: reference (also if left out) or xnnpack; an ONNX file is onnxruntime's
    #[arg(long, value_name = "KERNELS", num_args = 0..=1, require_equals = true, default_missing_value = "reference")]
    #[arg(conflicts_with_all = ["calibrate", "range", "file"])]
    exact: Option<Kernels>,
    /// Hide the weights: the file is then its owner's, NAME.public.pmesh beside it is for others
    #[arg(long)]
    private_weights: bool,
    /// Names of the classes
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    classes: Vec<String>,
}

/// Arguments of `model make`.
#[derive(Debug, clap::Args)]
pub struct MakeArgs {
    /// Which model
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// What weights and inputs are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder that is written
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Name the models instead
    #[arg(long)]
    list: bool,
}

#[derive(Serialize)]
struct ZooDoc {
    name: &'static str,
    about: &'static str,
    million_multiply_adds: f64,
}

#[derive(Serialize)]
struct MadeDoc {
    name: &'static str,
    seed: u64,
    folder: PathBuf,
    onnx_bytes: usize,
}

#[derive(Serialize)]
struct ImportDoc {
    file: PathBuf,
    #[serde(flatten)]
    shown: ShowDoc,
    tests: Vec<(String, Evaluation)>,
}

#[derive(Serialize)]
struct ShowDoc {
    name: String,
    model: Option<Hash32>,
    private_weights: bool,
    classes: Vec<String>,
    report: proofmesh_model::Report,
}

impl ShowDoc {
    fn of(file: &ModelFile) -> Self {
        ShowDoc {
            name: file.program.name.clone(),
            model: crate::zk::model_id(file).ok(),
            private_weights: file.program.weights == WeightMode::Private,
            classes: file.meta.classes.clone(),
            report: file.meta.report.clone(),
        }
    }

    fn text(&self) -> String {
        let id = self.model.map_or("with the commitment to its weights".to_owned(), |id| id.to_string());
        format!("model          {}\nid             {id}\n{}", self.name, self.report)
    }
}

/// Runs.
pub fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Show { file } => {
            let doc = ShowDoc::of(&with_forecast(super::model_at(file.as_deref())?)?);
            context.print(&doc, || doc.text())
        }
        Command::Make(args) => make(args, context),
        Command::Import(args) => {
            if args.exact.is_some() && args.source.is_dir() {
                return Err(Fault::misuse("model.exact", "a .tflite or .onnx file", args.source.display()));
            }
            let (imported, tests) =
                if args.source.is_dir() { from_bundle(&args)? } else { (from_file(&args)?, Vec::new()) };
            let file = with_forecast(imported)?;
            super::write_file(&args.out, &file.encode()?)?;
            if file.program.weights == WeightMode::Private {
                let shown = args.out.with_extension("public.pmesh");
                super::write_file(&shown, &file.public_part().encode()?)?;
                context.tell(&format!("for others, without the weights: {}", shown.display()));
            }
            for warning in &file.meta.report.warnings {
                context.tell(&format!("warning: {warning}"));
            }
            let doc = ImportDoc { file: args.out, shown: ShowDoc::of(&file), tests };
            context.print(&doc, || format!("{}\n{}", doc.shown.text(), tests_text(&doc.tests)))
        }
    }
}

fn make(args: MakeArgs, context: &Context) -> Result<()> {
    let (Some(name), Some(folder), false) = (args.name, args.out, args.list) else {
        let row = |e: &zoo::Entry| ZooDoc {
            name: e.name,
            about: e.about,
            million_multiply_adds: e.million_multiply_adds,
        };
        let docs: Vec<ZooDoc> = zoo::ZOO.iter().map(row).collect();
        let line = |d: &ZooDoc| {
            format!("{:<12} {:>7} M multiply-adds  {}", d.name, d.million_multiply_adds, d.about)
        };
        return context.print(&docs, || docs.iter().map(line).collect::<Vec<_>>().join("\n"));
    };
    let made = zoo::find(&name)?.make(args.seed, zoo::Size::Full);
    made.write(&folder)?;
    let doc = MadeDoc { name: made.name, seed: args.seed, folder, onnx_bytes: made.onnx.len() };
    context.print(&doc, || format!("made {} from seed {} in {}", doc.name, doc.seed, doc.folder.display()))
}

fn tests_text(tests: &[(String, Evaluation)]) -> String {
    let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let row = |(name, found): &(String, Evaluation)| {
        format!(
            "test {name:<10} {} rows: accuracy {} (float {}), AUC {} (float {}), same answer {:.4}",
            found.rows,
            figure(found.integer.accuracy),
            figure(found.float.accuracy),
            figure(found.integer.auc),
            figure(found.float.auc),
            found.agreement
        )
    };
    tests.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// Files hold the forecast for the reference machine: the same file wherever it is made.
fn with_forecast(mut file: ModelFile) -> Result<ModelFile> {
    let expected = forecast(&file.program, 1, Machine::REFERENCE)
        .map_err(|error| Fault::refused("model.too-large", "a program that can be proved", error))?;
    file.meta.report.forecast = Some(proofmesh_model::Forecast {
        prove_ms: expected.prove_ms.ceil() as u64,
        peak_bytes: expected.peak_bytes as u64,
        proof_bytes: expected.proof_bytes as u64,
    });
    Ok(file)
}

fn apply(args: &ImportArgs, options: &mut ImportOptions) -> Result<()> {
    for output in &args.outputs {
        options.outputs.push(output.parse()?);
    }
    if args.private_weights {
        options.weights = WeightMode::Private;
    }
    if !args.classes.is_empty() {
        options.classes.clone_from(&args.classes);
    }
    if let Some(text) = &args.public {
        let bad = || Fault::misuse("public.form", "channels FROM..UNTIL, 3..6", format_args!("{text:.40}"));
        let (from, until) = text.split_once("..").ok_or_else(bad)?;
        options.public_channels = from.parse().map_err(|_| bad())?..until.parse().map_err(|_| bad())?;
    }
    if let Some(text) = &args.range {
        let bad = || Fault::misuse("range.form", "LO,HI such as -1,1", format_args!("{text:.40}"));
        let (lo, hi) = text.split_once(',').ok_or_else(bad)?;
        options.input =
            InputScale::Range { lo: lo.parse().map_err(|_| bad())?, hi: hi.parse().map_err(|_| bad())? };
    }
    Ok(())
}

fn from_bundle(args: &ImportArgs) -> Result<(ModelFile, Vec<(String, Evaluation)>)> {
    let bundle = bundle::load(&args.source)?;
    let wanted = |model: &&bundle::BundleModel| args.file.as_ref().is_none_or(|file| model.file() == file);
    let model = bundle.models.iter().find(wanted).ok_or_else(|| {
        let names: Vec<_> = bundle.models.iter().map(|model| model.file()).collect();
        Fault::misuse("model.which", names.join(", "), args.file.clone().unwrap_or_default())
    })?;
    let mut options = model.options();
    apply(args, &mut options)?;
    let calibration = match &args.calibrate {
        Some(path) => data::read(path)?,
        None => model.calibration()?,
    };
    let imported = import(&model.onnx()?, &options, &calibration)?;
    let mut tests = Vec::new();
    for set in model.tests()? {
        tests.push((set.name, evaluate(&imported.file, &imported.float, model.task, &set.x, &set.y)?));
    }
    Ok((imported.file, tests))
}

fn from_file(args: &ImportArgs) -> Result<ModelFile> {
    let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("model").to_owned();
    let mut options = ImportOptions::new(&stem(&args.source));
    options.source_file =
        args.source.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    apply(args, &mut options)?;
    let bytes = super::read_file(&args.source, proofmesh_model::limits::MAX_ONNX_BYTES)?;
    if let Some(kernels) = args.exact {
        return Ok(import_exact(&bytes, kernels, &options)?);
    }
    let path = args.calibrate.as_deref().ok_or_else(|| {
        let wanted = "--calibrate FILE with typical inputs, or --exact for a model that is int8 already";
        Fault::misuse("model.calibrate", wanted, "a file alone")
    })?;
    Ok(import(&bytes, &options, &data::read(path)?)?.file)
}
