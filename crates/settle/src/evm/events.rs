//! Reading events in order, from a cursor, without ever skipping or repeating one.

use alloy::consensus::BlockHeader;
use alloy::primitives::{Address, LogData};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEventInterface;

use super::abi::{Bonds, Books, Frost, Hand, Roll};
use super::send::{Sender, rpc};
use super::{account, hash, money};
use proofmesh_market::{Device, Epoch, Hash32};

use crate::{ChainEvent, Cursor, Deployment, EventKind, EventPage, Result, SettleError};

/// Blocks asked for at once; public nodes refuse much larger ranges.
const BLOCKS_AT_ONCE: u64 = 1_000;

/// See [`Settlement::events_since`](crate::Settlement::events_since). At most [`BLOCKS_AT_ONCE`] blocks a
/// read; a page may be empty and yet move the cursor.
pub(crate) async fn since<P: Provider>(
    sender: &Sender<P>,
    deployment: &Deployment,
    cursor: &Cursor,
    limit: usize,
) -> Result<EventPage> {
    let head = sender.head().await?;
    let newest = head.saturating_add(1).saturating_sub(sender.profile().confirmations);
    let first = match cursor.log_index {
        Some(_) => cursor.block,
        None if cursor.block_hash == Hash32::ZERO => cursor.block.max(deployment.first_block),
        None => cursor.block.saturating_add(1),
    };
    if first > newest || limit == 0 {
        check_on_chain(sender, cursor).await?;
        return Ok(EventPage { events: Vec::new(), next: cursor.clone() });
    }
    let last = newest.min(first.saturating_add(BLOCKS_AT_ONCE - 1));
    // A block's hash commits to all before it: if the last one is the same after the logs were read as before, and the
    // cursor's block is there, the logs are of one chain, the cursor's.
    let hash_before = hash_of(sender, last).await?.ok_or_else(|| rpc("the node lost its newest block"))?;
    check_on_chain(sender, cursor).await?;
    let d = deployment;
    let contracts = [d.registry, d.settlement, d.delivery, d.stake, d.cover];
    let filter = Filter::new()
        .address(contracts.map(|a| Address::from(a.0)).to_vec())
        .from_block(first)
        .to_block(last);
    let logs = sender.provider().get_logs(&filter).await.map_err(rpc)?;
    if hash_of(sender, last).await? != Some(hash_before) {
        // Nothing was read yet, so nothing is to be read again: the cursor is as good as it was.
        return Err(rpc("the chain changed while its logs were read"));
    }

    let mut events = Vec::new();
    let mut before = None;
    for log in logs {
        let (block, log_index, block_hash, tx) = place(&log)?;
        let known = contracts.contains(&account(log.inner.address));
        if log.removed || !known || !(first..=last).contains(&block) || before >= Some((block, log_index)) {
            return Err(rpc("the node gave logs that were not asked for, or not in the chain's order"));
        }
        before = Some((block, log_index));
        let read = block == cursor.block && cursor.log_index.is_some_and(|seen| log_index <= seen);
        if read {
            continue;
        }
        if let Some(kind) = decode(deployment, log.inner.address, &log.inner.data)? {
            events.push(ChainEvent { block, log_index, tx, kind });
            if events.len() >= limit {
                let next = Cursor { block, block_hash, log_index: Some(log_index) };
                return Ok(EventPage { events, next });
            }
        }
    }
    Ok(EventPage { events, next: Cursor { block: last, block_hash: hash_before, log_index: None } })
}

async fn check_on_chain<P: Provider>(sender: &Sender<P>, cursor: &Cursor) -> Result<()> {
    if cursor.block_hash == Hash32::ZERO {
        return Ok(());
    }
    match hash_of(sender, cursor.block).await? {
        Some(hash) if hash == cursor.block_hash => Ok(()),
        _ => Err(SettleError::Reorg { block: cursor.block }),
    }
}

async fn hash_of<P: Provider>(sender: &Sender<P>, number: u64) -> Result<Option<Hash32>> {
    let block = sender.provider().get_block_by_number(number.into()).await.map_err(rpc)?;
    // The hash as the node gives it: chains exist whose headers hash otherwise.
    Ok(block.filter(|b| b.header.number() == number).map(|b| hash(b.header.hash)))
}

fn place(log: &Log) -> Result<(u64, u64, Hash32, Hash32)> {
    match (log.block_number, log.log_index, log.block_hash, log.transaction_hash) {
        (Some(block), Some(index), Some(hash), Some(tx)) => {
            Ok((block, index, super::hash(hash), super::hash(tx)))
        }
        _ => Err(rpc("a mined log lacks its place")),
    }
}

/// `None` for events that the market need not know.
fn decode(d: &Deployment, at: Address, data: &LogData) -> Result<Option<EventKind>> {
    let at = account(at);
    let raw = (data.topics(), &data.data);
    Ok(if at == d.settlement {
        Books::BooksEvents::decode_raw_log(raw.0, raw.1).ok().map(books).transpose()?
    } else if at == d.registry {
        Roll::RollEvents::decode_raw_log(raw.0, raw.1).ok().map(roll)
    } else if at == d.stake {
        Bonds::BondsEvents::decode_raw_log(raw.0, raw.1).ok().map(bonds).transpose()?
    } else if at == d.delivery {
        Hand::HandEvents::decode_raw_log(raw.0, raw.1).ok().map(|Hand::HandEvents::Delivered(e)| {
            EventKind::Delivered { consumer: account(e.consumer), id: hash(e.id), digest: hash(e.digest) }
        })
    } else if at == d.cover {
        Frost::FrostEvents::decode_raw_log(raw.0, raw.1).ok().map(frost).transpose()?
    } else {
        None
    })
}

fn books(event: Books::BooksEvents) -> Result<EventKind> {
    use Books::BooksEvents as E;
    Ok(match event {
        E::Deposited(e) => EventKind::Deposited {
            account: account(e.account),
            amount: money(e.amount)?,
            deposited: money(e.deposited)?,
        },
        E::Claimed(e) => EventKind::Claimed {
            account: account(e.account),
            amount: money(e.amount)?,
            cumulative: money(e.cumulative)?,
        },
        E::EpochPosted(e) => EventKind::EpochPosted(Epoch {
            number: e.epoch,
            balances_root: hash(e.balancesRoot),
            receipts_root: hash(e.receiptsRoot),
            log_hash: hash(e.logHash),
            total: money(e.total)?,
        }),
        E::EpochsRolledBack(e) => EventKind::EpochsRolledBack { from: e.from, to: e.to },
        E::Challenged(e) => EventKind::Challenged {
            epoch: e.epoch,
            digest: hash(e.digest),
            challenger: account(e.challenger),
            deadline: e.deadline,
            post: e.post,
        },
        E::PosterSlashed(e) => {
            EventKind::PosterSlashed { reward: money(e.reward)?, burned: money(e.burned)? }
        }
        E::ChallengeClosed(e) => {
            EventKind::ChallengeClosed { post: e.post, digest: hash(e.digest), answered: e.answered }
        }
        E::Struck(e) => EventKind::Struck { epoch: e.epoch, accuser: account(e.accuser) },
        E::SuccessorNamed(e) => {
            EventKind::SuccessorNamed { successor: account(e.successor), retire_at: e.retireAt }
        }
        E::ExitOpened(_) => EventKind::ExitOpened,
        E::Exited(e) => EventKind::Exited { account: account(e.account), amount: money(e.amount)? },
    })
}

fn roll(event: Roll::RollEvents) -> EventKind {
    use Roll::RollEvents as E;
    match event {
        E::DeviceEnrolled(e) => {
            EventKind::DeviceEnrolled { key: Device(e.key.0), owner: account(e.owner), cell: e.cell }
        }
        E::DeviceRevoked(e) => EventKind::DeviceRevoked { key: Device(e.key.0) },
        E::ModelRegistered(e) => EventKind::ModelRegistered {
            id: hash(e.id),
            program: hash(e.program),
            verifier_class: e.verifierClass,
        },
        E::ModelRevoked(e) => EventKind::ModelRevoked { id: hash(e.id) },
        E::NodeRegistered(e) => {
            EventKind::NodeRegistered { node: account(e.node), operator: account(e.operator) }
        }
    }
}

fn bonds(event: Bonds::BondsEvents) -> Result<EventKind> {
    use Bonds::BondsEvents as E;
    Ok(match event {
        E::Bonded(e) => {
            EventKind::Bonded { node: account(e.node), amount: money(e.amount)?, bonded: money(e.bonded)? }
        }
        E::UnbondingStarted(e) => EventKind::Unbonding { node: account(e.node), amount: money(e.amount)? },
        E::Slashed(e) => EventKind::NodeSlashed {
            node: account(e.node),
            reporter: account(e.reporter),
            reward: money(e.reward)?,
            burned: money(e.burned)?,
        },
    })
}

fn frost(event: Frost::FrostEvents) -> Result<EventKind> {
    use Frost::FrostEvents as E;
    Ok(match event {
        E::PolicyOpened(e) => EventKind::CoverOpened {
            id: hash(e.id),
            insurer: account(e.insurer),
            beneficiary: account(e.beneficiary),
            payout: money(e.payout)?,
        },
        E::DayReported(e) => EventKind::CoverDayReported {
            id: hash(e.id),
            day: number(e.day)?,
            device: Device(e.device.0),
            digest: hash(e.digest),
            stations: number(e.stations)?,
        },
        E::PolicyPaid(e) => EventKind::CoverPaid {
            id: hash(e.id),
            beneficiary: account(e.beneficiary),
            payout: money(e.payout)?,
            day: number(e.day)?,
        },
        E::PolicyReclaimed(e) => EventKind::CoverReclaimed {
            id: hash(e.id),
            insurer: account(e.insurer),
            payout: money(e.payout)?,
        },
    })
}

fn number(n: alloy::primitives::U256) -> Result<u64> {
    n.try_into().map_err(|_| rpc("a number in an event does not fit 64 bits"))
}
