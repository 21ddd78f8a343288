//! Imports the models of a bundle: `import <bundle folder> <out.pmesh> [file.onnx] [output ...]`. Prints
//! the report and the figures on the test sets.

use std::error::Error;
use std::path::Path;

use proofmesh_model::{bundle, evaluate, import};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, out, rest @ ..] = args.as_slice() else {
        return Err(
            "usage: import <bundle folder> <out.pmesh> [file.onnx] [private|clip|error=E|values|argmax|min(C)<=N ...]".into()
        );
    };
    let bundle = bundle::load(Path::new(folder))?;
    let (wanted, outputs) = match rest {
        [file, outputs @ ..] if file.ends_with(".onnx") => (file.as_str(), outputs),
        outputs => ("model.onnx", outputs),
    };
    let model = bundle.models.iter().find(|m| m.file() == wanted).ok_or("the bundle has no such model")?;
    let mut options = model.options();
    for output in outputs {
        match output.as_str() {
            "private" => options.weights = proofmesh_graph::program::WeightMode::Private,
            "clip" => options.clip = true,
            other if other.starts_with("fragile=") => options.target_fragile = other[8..].parse()?,
            other if other.starts_with("error=") => options.target_error = other[6..].parse()?,
            other => options.outputs.push(other.parse()?),
        }
    }
    let imported = import(&model.onnx()?, &options, &model.calibration()?)?;
    print!("{}", imported.report());
    for test in model.tests()? {
        let e = evaluate(&imported.file, &imported.float, model.task, &test.x, &test.y)?;
        println!(
            "test {:<14} {} rows: integer {:?}, float {:?}, same answer {:.4}, error {:.4}, clamped inputs {:.5}",
            test.name, e.rows, e.integer, e.float, e.agreement, e.error, e.clamped_inputs
        );
    }
    let bytes = imported.file.encode()?;
    std::fs::write(out, &bytes)?;
    println!("wrote {out}, {} bytes", bytes.len());
    Ok(())
}
