//! Makes a model of the zoo, imports it, and prints what that took and how good it is: `zoo <name> [seed] [small]`.

use std::error::Error;
use std::time::Instant;

use proofmesh_model::zoo::{self, Size};
use proofmesh_model::{evaluate, import};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first() else {
        zoo::ZOO.iter().for_each(|e| println!("{:<12} {}", e.name, e.about));
        return Ok(());
    };
    let seed = args.get(1).map_or(Ok(1), |s| s.parse())?;
    let size = if args.get(2).is_some_and(|a| a == "small") { Size::Small } else { Size::Full };
    let start = Instant::now();
    let made = zoo::find(name)?.make(seed, size);
    println!("made in {:.2?}: {} bytes", start.elapsed(), made.onnx.len());
    let start = Instant::now();
    let imported = import(&made.onnx, &made.options(), &made.calibration)?;
    println!("imported in {:.2?}", start.elapsed());
    print!("{}", imported.report());
    let e = evaluate(&imported.file, &imported.float, made.task, &made.test, &made.labels)?;
    println!(
        "test {} rows: integer {:?}, float {:?}, same answer {:.4}, error {:.4}",
        e.rows, e.integer, e.float, e.agreement, e.error
    );
    let input = imported.file.meta.input.tensor(imported.program().input.shape, made.test.row(0))?;
    let start = Instant::now();
    imported.program().run(&input)?;
    println!("one integer run {:.2?}", start.elapsed());
    Ok(())
}
