//! `proofmesh claim`: what the newest final epoch owes an account, paid by the contract.

use crate::buyer::claim;
use crate::engine::keys::Keys;
use crate::fault::Result;
use crate::out::Context;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  proofmesh claim ewr
  proofmesh claim ewr --account 0x...      for another account: the money goes to it, whoever calls

Claiming twice pays once: the contract pays what the account may ever have had, less what it had.")]
pub struct Args {
    /// Name of the account that calls
    name: String,
    /// Account that is paid [default: the caller's]
    #[arg(long)]
    account: Option<String>,
}

/// Runs.
pub async fn run(args: Args, context: &Context) -> Result<()> {
    let by = Keys::open(&context.dir.join("keys"))?.account(&args.name)?;
    let account = match &args.account {
        Some(account) => super::parse(account, "account")?,
        None => by.address(),
    };
    let client = context.client()?;
    let settlement = client.settlement().await?;
    let doc = claim(&client, &*settlement, &by, account).await?;
    context.print(&doc, || {
        format!(
            "{} USD paid to {}, {} USD in all, epoch {}",
            doc.paid, doc.account, doc.cumulative, doc.epoch
        )
    })
}
