//! The verbs, one after the other. Each changing verb is "look, and send if needed", repeated while other
//! transactions take the nonce.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use async_trait::async_trait;

use super::abi::{Bonds, Books, Frost, Hand, Roll, Terms, Token};
use super::look::{ACTIVE, conflict, gap, hashes, lack, prove, reach, spot};
use super::send::rpc;
use super::{ATTEMPTS, Evm, deploy, events, money, nonce_taken};
use super::{account as to_account, hash as to_hash};
use crate::*;
use proofmesh_market::{Address as Account, Device, Epoch, Hash32 as Hash, Receipt, SignedReceipt, Usd};

#[async_trait]
impl<P: Provider> Settlement for Evm<P> {
    fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    fn profile(&self) -> &ChainProfile {
        self.sender.profile()
    }

    async fn now(&self) -> Result<u64> {
        let block = self.sender.provider().get_block_by_number(Default::default()).await.map_err(rpc)?;
        let block = block.ok_or_else(|| rpc("the chain has no newest block"))?;
        Ok(block.header.timestamp)
    }

    async fn pass_time(&self, seconds: u64) -> Result<()> {
        if !self.sender.profile().development {
            return Err(SettleError::Unsupported("passing time"));
        }
        let client = self.sender.provider().client();
        let _: serde_json::Value = client.request("evm_increaseTime", (seconds,)).await.map_err(rpc)?;
        let _: serde_json::Value = client.request("evm_mine", ()).await.map_err(rpc)?;
        Ok(())
    }

    async fn balance_of(&self, account: Account) -> Result<Usd> {
        money(self.sender.view(self.token, Token::balanceOfCall { owner: account.0.into() }).await?)
    }

    async fn mint(&self, by: &Signer, to: Account, balance: Usd) -> Result<Done> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.balance_of(to).await?;
                have >= balance
            },
            self.token,
            Token::mintCall { to: to.0.into(), amount: lack(balance, have) }
        )
    }

    async fn deposit(&self, by: &Signer, cumulative: Usd) -> Result<Done> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.deposited(by.account()).await?;
                if have < cumulative {
                    self.allow(by, self.books, gap(cumulative, have)).await?;
                }
                have >= cumulative
            },
            self.books,
            Books::depositCall { amount: lack(cumulative, have) }
        )
    }

    async fn deposited(&self, account: Account) -> Result<Usd> {
        let found = self.sender.view(self.books, Books::accountsCall { account: account.0.into() }).await?;
        money(found.deposited)
    }

    async fn total_deposits(&self) -> Result<Usd> {
        money(self.sender.view(self.books, Books::totalDepositsCall {}).await?)
    }

    async fn bond_poster(&self, by: &Signer, bond: Usd) -> Result<Done> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.poster_bond().await?;
                if have < bond {
                    self.allow(by, self.books, gap(bond, have)).await?;
                }
                have >= bond
            },
            self.books,
            Books::bondPosterCall { amount: lack(bond, have) }
        )
    }

    async fn unbond_poster(&self, by: &Signer, bond: Usd) -> Result<Done> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.poster_bond().await?;
                have <= bond
            },
            self.books,
            Books::unbondPosterCall { amount: lack(have, bond) }
        )
    }

    async fn poster_bond(&self) -> Result<Usd> {
        money(self.sender.view(self.books, Books::posterBondCall {}).await?)
    }

    async fn post_epoch(&self, by: &Signer, epoch: &Epoch) -> Result<Done> {
        reach!(
            self,
            by,
            match self.epoch(epoch.number).await? {
                Some(found) if found.epoch == *epoch => true,
                Some(found) => {
                    return Err(conflict(format!("epoch {}", epoch.number), epoch, &found.epoch));
                }
                None => false,
            },
            self.books,
            Books::postEpochCall {
                epoch: epoch.number,
                balancesRoot: epoch.balances_root.0.into(),
                receiptsRoot: epoch.receipts_root.0.into(),
                logHash: epoch.log_hash.0.into(),
                total: U256::from(epoch.total.micro()),
            }
        )
    }

    async fn epoch(&self, epoch: u64) -> Result<Option<PostedEpoch>> {
        let e = self.sender.view(self.books, Books::epochsCall { epoch }).await?;
        if e.post == 0 {
            return Ok(None);
        }
        let posted = Epoch {
            number: epoch,
            balances_root: to_hash(e.balancesRoot),
            receipts_root: to_hash(e.receiptsRoot),
            log_hash: to_hash(e.logHash),
            total: money(e.total)?,
        };
        let is_final = self.is_final(epoch).await?;
        Ok(Some(PostedEpoch { epoch: posted, posting: e.post, posted_at: e.postedAt, is_final }))
    }

    async fn latest_epoch(&self) -> Result<u64> {
        self.sender.view(self.books, Books::latestEpochCall {}).await
    }

    async fn final_epoch(&self) -> Result<u64> {
        self.sender.view(self.books, Books::lastFinalCall {}).await
    }

    async fn is_final(&self, epoch: u64) -> Result<bool> {
        self.sender.view(self.books, Books::isFinalCall { epoch }).await
    }

    async fn claim(&self, by: &Signer, account: Account, cumulative: Usd, proof: &[Hash]) -> Result<Done> {
        let call = Books::claimCall {
            account: account.0.into(),
            cumulative: U256::from(cumulative.micro()),
            proof: hashes(proof),
        };
        reach!(self, by, self.claimed(account).await? >= cumulative, self.books, call.clone())
    }

    async fn claimed(&self, account: Account) -> Result<Usd> {
        let found = self.sender.view(self.books, Books::accountsCall { account: account.0.into() }).await?;
        money(found.claimed)
    }

    async fn is_settled_receipt(&self, digest: Hash, epoch: u64, proof: &[Hash]) -> Result<bool> {
        let call = Books::isSettledReceiptCall { digest: digest.0.into(), epoch, proof: hashes(proof) };
        self.sender.view(self.books, call).await
    }

    async fn receipt_digest(&self, receipt: &Receipt) -> Result<Hash> {
        let call = Books::receiptDigestCall { receipt: receipt.into() };
        Ok(self.sender.view(self.books, call).await.map(to_hash)?)
    }

    async fn veto(&self, by: &Signer, epoch: u64) -> Result<Done> {
        reach!(self, by, self.epoch(epoch).await?.is_none(), self.books, Books::vetoCall { epoch })
    }

    async fn challenge(&self, by: &Signer, epoch: u64, receipt: &Receipt, proof: &[Hash]) -> Result<Done> {
        let digest = self.receipt_digest(receipt).await?;
        let call = Books::challengeCall { epoch, receipt: receipt.into(), proof: hashes(proof) };
        reach!(
            self,
            by,
            {
                let open = self.challenge_open(epoch, digest).await?;
                if !open {
                    self.allow(by, self.books, self.deployment.params.challenge_bond).await?;
                }
                open
            },
            self.books,
            call.clone()
        )
    }

    async fn answer(&self, by: &Signer, epoch: u64, evidence: &Evidence) -> Result<Done> {
        let receipt = &evidence.receipt.receipt;
        let digest = self.receipt_digest(receipt).await?;
        let call = Books::answerCall { epoch, receipt: receipt.into(), bundle: evidence.into() };
        prove!(self, by, !self.challenge_open(epoch, digest).await?, self.books, call.clone())
    }

    async fn resolve(&self, by: &Signer, epoch: u64, digest: Hash) -> Result<Done> {
        let call = Books::resolveCall { epoch, digest: digest.0.into() };
        reach!(self, by, !self.challenge_open(epoch, digest).await?, self.books, call.clone())
    }

    async fn refund_challenge(&self, by: &Signer, posting: u32, digest: Hash) -> Result<Done> {
        let digest = B256::from(digest.0);
        let seen = Books::challengeOfCall { post: posting, digest };
        reach!(
            self,
            by,
            {
                let found = self.sender.view(self.books, seen.clone()).await?;
                found.challenger != Address::ZERO && found.deadline == 0
            },
            self.books,
            Books::refundChallengeCall { post: posting, digest }
        )
    }

    async fn strike(&self, by: &Signer, epoch: u64, breach: &Breach) -> Result<Done> {
        let charge = Bytes::from(breach.charge(self.books.address, epoch));
        let call = Books::strikeCall { epoch, charge };
        reach!(self, by, self.epoch(epoch).await?.is_none(), self.books, call.clone())
    }

    async fn name_successor(&self, by: &Signer, successor: Account) -> Result<Done> {
        let next = Address::from(successor.0);
        reach!(
            self,
            by,
            self.sender.view(self.books, Books::successorCall {}).await? == next,
            self.books,
            Books::nameSuccessorCall { next }
        )
    }

    async fn retire(&self, by: &Signer) -> Result<Done> {
        reach!(
            self,
            by,
            self.sender.view(self.books, Books::exitOpenCall {}).await?,
            self.books,
            Books::retireCall {}
        )
    }

    async fn open_exit(&self, by: &Signer) -> Result<Done> {
        reach!(
            self,
            by,
            self.sender.view(self.books, Books::exitOpenCall {}).await?,
            self.books,
            Books::openExitCall {}
        )
    }

    async fn exit(&self, by: &Signer, account: Account) -> Result<Done> {
        let account = Address::from(account.0);
        reach!(
            self,
            by,
            self.sender.view(self.books, Books::freshCall { account }).await?.exited,
            self.books,
            Books::exitCall { account }
        )
    }

    async fn exit_amount(&self, account: Account) -> Result<Usd> {
        money(self.sender.view(self.books, Books::exitAmountCall { account: account.0.into() }).await?)
    }

    async fn set_roles(&self, by: &Signer, account: Account, roles: Roles) -> Result<Done> {
        let account = Address::from(account.0);
        let bits = u8::from(roles.maker) | u8::from(roles.publisher) << 1;
        reach!(
            self,
            by,
            self.sender.view(self.roll, Roll::rolesCall { account }).await? == bits,
            self.roll,
            Roll::setRolesCall { account, bits }
        )
    }

    async fn deploy_verifier(&self, by: &Signer, key: &VerifierKey) -> Result<Account> {
        deploy::verifier(&self.sender, by, key).await.map(to_account)
    }

    async fn set_verifier(&self, by: &Signer, class: u32, verifier: Account) -> Result<Done> {
        let verifier = Address::from(verifier.0);
        reach!(
            self,
            by,
            self.sender.view(self.roll, Roll::classesCall { class }).await?.verifier == verifier,
            self.roll,
            Roll::setVerifierCall { class, verifier }
        )
    }

    async fn propose_verifier(&self, by: &Signer, class: u32, verifier: Account) -> Result<Done> {
        let verifier = Address::from(verifier.0);
        reach!(
            self,
            by,
            self.sender.view(self.roll, Roll::proposalsCall { class }).await?.verifier == verifier,
            self.roll,
            Roll::proposeVerifierCall { class, verifier }
        )
    }

    async fn accept_verifier(&self, by: &Signer, class: u32) -> Result<Done> {
        reach!(
            self,
            by,
            self.sender.view(self.roll, Roll::classesCall { class }).await?.verifier != Address::ZERO,
            self.roll,
            Roll::acceptVerifierCall { class }
        )
    }

    async fn verifier_of(&self, model: Hash) -> Result<Option<Account>> {
        let found = self.sender.view(self.roll, Roll::verifierOfCall { id: model.0.into() }).await?;
        Ok((found.verifier != Address::ZERO).then(|| to_account(found.verifier)))
    }

    async fn verifier_of_key(&self, key_hash: Hash) -> Result<Option<Account>> {
        let call = Roll::verifierOfKeyCall { keyHash: key_hash.0.into() };
        let found = self.sender.view(self.roll, call).await?;
        Ok((found != Address::ZERO).then(|| to_account(found)))
    }

    async fn append_devices(&self, by: &Signer, first: u32, subtree: Hash, height: u8) -> Result<Done> {
        let subtree = B256::from(subtree.0);
        reach!(
            self,
            by,
            self.appended(by, first).await?,
            self.roll,
            Roll::appendDevicesCall { subtree, height }
        )
    }

    async fn roll(&self, maker: u32) -> Result<crate::Roll> {
        let maker = maker.try_into().map_err(|_| SettleError::bad("maker", "more than 24 bits"))?;
        let found = self.sender.view(self.roll, Roll::rollOfCall { maker }).await?;
        Ok(crate::Roll { root: to_hash(found.root), count: found.count })
    }

    async fn is_on_roll(&self, key: Device, owner: Account, cell: u64, place: &RollPlace) -> Result<bool> {
        let call = Roll::isOnRollCall { key: key.0.into(), owner: owner.0.into(), cell, place: spot(place)? };
        self.sender.view(self.roll, call).await
    }

    async fn unpack_device(
        &self,
        by: &Signer,
        key: Device,
        owner: Account,
        cell: u64,
        place: &RollPlace,
    ) -> Result<Done> {
        let call =
            Roll::unpackDeviceCall { key: key.0.into(), owner: owner.0.into(), cell, place: spot(place)? };
        reach!(
            self,
            by,
            match self.device(key).await? {
                Some(d) if d.owner == owner && d.cell == cell && d.active => true,
                Some(d) => return Err(conflict(format!("device {key}"), &(owner, cell), &d)),
                None => false,
            },
            self.roll,
            call.clone()
        )
    }

    async fn register_node(&self, by: &Signer, operator: Account) -> Result<Done> {
        reach!(
            self,
            by,
            match self.node(by.account()).await? {
                Some(n) if n.operator == operator && n.active => true,
                Some(n) => return Err(conflict(format!("node {}", by.address()), &operator, &n)),
                None => false,
            },
            self.roll,
            Roll::registerNodeCall { operator: operator.0.into() }
        )
    }

    async fn retire_node(&self, by: &Signer, node: Account) -> Result<Done> {
        reach!(
            self,
            by,
            self.node(node).await?.is_some_and(|n| !n.active),
            self.roll,
            Roll::retireNodeCall { node_: node.0.into() }
        )
    }

    async fn node(&self, node: Account) -> Result<Option<NodeRecord>> {
        let n = self.sender.view(self.roll, Roll::nodeCall { node_: node.0.into() }).await?;
        let node =
            NodeRecord { operator: to_account(n.operator), since: n.since, active: n.status == ACTIVE };
        Ok((n.status != 0).then_some(node))
    }

    async fn enrol_device(&self, by: &Signer, key: Device, owner: Account, cell: u64) -> Result<Done> {
        reach!(
            self,
            by,
            match self.device(key).await? {
                Some(d) if d.owner == owner && d.cell == cell && d.active => true,
                Some(d) => {
                    let what = format!("device {key}");
                    return Err(conflict(what, &(owner, cell), &d));
                }
                None => false,
            },
            self.roll,
            Roll::enrolDeviceCall { key: key.0.into(), owner: owner.0.into(), cell }
        )
    }

    async fn transfer_device(&self, by: &Signer, key: Device, owner: Account) -> Result<Done> {
        reach!(
            self,
            by,
            self.device(key).await?.is_some_and(|d| d.owner == owner),
            self.roll,
            Roll::transferDeviceCall { key: key.0.into(), owner: owner.0.into() }
        )
    }

    async fn revoke_device(&self, by: &Signer, key: Device) -> Result<Done> {
        reach!(
            self,
            by,
            self.device(key).await?.is_some_and(|d| !d.active),
            self.roll,
            Roll::revokeDeviceCall { key: key.0.into() }
        )
    }

    async fn device(&self, key: Device) -> Result<Option<DeviceRecord>> {
        let d = self.sender.view(self.roll, Roll::deviceCall { key: key.0.into() }).await?;
        let device = DeviceRecord {
            owner: to_account(d.owner),
            cell: d.cell,
            maker: d.maker.to(),
            active: d.status == ACTIVE,
        };
        Ok((d.status != 0).then_some(device))
    }

    async fn register_model(
        &self,
        by: &Signer,
        id: Hash,
        program: Hash,
        verifier_class: u32,
    ) -> Result<Done> {
        let wanted = ModelRecord { program, verifier_class, publisher: by.account(), active: true };
        reach!(
            self,
            by,
            match self.model(id).await? {
                Some(m) if m == wanted => true,
                Some(m) => return Err(conflict(format!("model {id}"), &wanted, &m)),
                None => false,
            },
            self.roll,
            Roll::registerModelCall {
                id: id.0.into(),
                program: program.0.into(),
                verifierClass: verifier_class
            }
        )
    }

    async fn revoke_model(&self, by: &Signer, id: Hash) -> Result<Done> {
        reach!(
            self,
            by,
            self.model(id).await?.is_some_and(|m| !m.active),
            self.roll,
            Roll::revokeModelCall { id: id.0.into() }
        )
    }

    async fn model(&self, id: Hash) -> Result<Option<ModelRecord>> {
        let m = self.sender.view(self.roll, Roll::modelCall { id: id.0.into() }).await?;
        let model = ModelRecord {
            program: to_hash(m.program),
            verifier_class: m.verifierClass,
            publisher: to_account(m.publisher),
            active: m.status == ACTIVE,
        };
        Ok((m.status != 0).then_some(model))
    }

    async fn bond_node(&self, by: &Signer, node: Account, bonded: Usd) -> Result<Done> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.bond(node).await?.bonded;
                if have < bonded {
                    self.allow(by, self.bonds, gap(bonded, have)).await?;
                }
                have >= bonded
            },
            self.bonds,
            Bonds::bondCall { node: node.0.into(), amount: lack(bonded, have) }
        )
    }

    async fn unbond_node(&self, by: &Signer, bonded: Usd) -> Result<Done> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.bond(by.account()).await?.bonded;
                have <= bonded
            },
            self.bonds,
            Bonds::startUnbondingCall { amount: lack(have, bonded) }
        )
    }

    async fn withdraw_bond(&self, by: &Signer) -> Result<Done> {
        reach!(
            self,
            by,
            self.bond(by.account()).await?.unbonding.is_zero(),
            self.bonds,
            Bonds::withdrawCall {}
        )
    }

    async fn bond(&self, node: Account) -> Result<Bond> {
        let b = self.sender.view(self.bonds, Bonds::bondsCall { node: node.0.into() }).await?;
        Ok(Bond { bonded: money(b.bonded)?, unbonding: money(b.unbonding)?, unbond_at: b.unbondAt })
    }

    async fn slash_equivocation(&self, by: &Signer, a: &SignedReceipt, b: &SignedReceipt) -> Result<Done> {
        let call = Bonds::slashEquivocationCall {
            a: (&a.receipt).into(),
            sigA: Bytes::copy_from_slice(&a.node_signature.0),
            b: (&b.receipt).into(),
            sigB: Bytes::copy_from_slice(&b.node_signature.0),
        };
        // A bond of nothing is refused by name (NothingAtStake): that nothing is there does not say that
        // these two receipts took it.
        reach!(self, by, false, self.bonds, call.clone())
    }

    async fn slash_device_equivocation(
        &self,
        by: &Signer,
        a: (&SignedReceipt, &[u8; 128]),
        b: (&Receipt, &[u8; 128]),
    ) -> Result<Done> {
        let call = Bonds::slashDeviceEquivocationCall {
            a: (&a.0.receipt).into(),
            sigA: Bytes::copy_from_slice(&a.0.node_signature.0),
            proofA: Bytes::copy_from_slice(a.1),
            b: b.0.into(),
            proofB: Bytes::copy_from_slice(b.1),
        };
        reach!(self, by, false, self.bonds, call.clone())
    }

    fn cover_id(&self, insurer: Account, terms: &CoverTerms, salt: Hash) -> Hash {
        use alloy::sol_types::SolValue;
        let args = (Address::from(insurer.0), B256::from(salt.0), Terms::from(terms));
        proofmesh_market::keccak(&args.abi_encode_params())
    }

    async fn cover_open(&self, by: &Signer, terms: &CoverTerms, salt: Hash) -> Result<Done> {
        let id = self.cover_id(by.account(), terms, salt);
        reach!(
            self,
            by,
            {
                // The id commits to insurer, salt and terms, so a policy under it is this one.
                let there = self.cover(id).await?.is_some();
                if !there {
                    self.allow(by, self.frost, terms.payout).await?;
                }
                there
            },
            self.frost,
            Frost::openCall { terms: terms.into(), salt: salt.0.into() }
        )
    }

    async fn cover_report(&self, by: &Signer, id: Hash, report: &CoverReport) -> Result<Done> {
        let call = Frost::reportCall {
            id: id.0.into(),
            receipt: (&report.receipt.receipt).into(),
            outputBytes: Bytes::copy_from_slice(report.receipt.output_bytes()),
            epoch: report.epoch,
            proof: hashes(&report.proof),
        };
        reach!(self, by, self.counted(id, report).await?, self.frost, call.clone())
    }

    async fn cover_reclaim(&self, by: &Signer, id: Hash) -> Result<Done> {
        reach!(
            self,
            by,
            self.cover(id).await?.is_some_and(|c| c.state == CoverState::Reclaimed),
            self.frost,
            Frost::reclaimCall { id: id.0.into() }
        )
    }

    async fn cover(&self, id: Hash) -> Result<Option<Cover>> {
        let p = self.sender.view(self.frost, Frost::policyCall { id: id.0.into() }).await?;
        let state = match p.status {
            0 => return Ok(None),
            1 => CoverState::Open,
            2 => CoverState::Paid,
            3 => CoverState::Reclaimed,
            n => return Err(SettleError::WrongChain(format!("policy status {n}"))),
        };
        Ok(Some(Cover {
            insurer: to_account(p.insurer),
            beneficiary: to_account(p.beneficiary),
            start: p.start.to(),
            day_count: p.dayCount,
            quorum: p.quorum,
            payout: money(p.payout)?,
            state,
        }))
    }

    async fn cover_station(&self, id: Hash, device: Device, job: Hash, model: Hash) -> Result<Option<usize>> {
        self.station_of(id, device, job, model).await
    }

    async fn cover_day(&self, id: Hash, day: u64) -> Result<[bool; 3]> {
        let call = Frost::dayMarksCall { id: id.0.into(), day: U256::from(day) };
        let marks = self.sender.view(self.frost, call).await?;
        Ok([0, 1, 2].map(|i| marks.bits.bit(i)))
    }

    async fn deliver_with_proof(
        &self,
        by: &Signer,
        consumer: Account,
        id: Hash,
        evidence: &Evidence,
        device: Option<&[u8; 128]>,
    ) -> Result<Done> {
        let receipt = &evidence.receipt.receipt;
        let (consumer, id) = (Address::from(consumer.0), B256::from(id.0));
        let node = Address::from(receipt.node.0);
        let seen = Hand::isDeliveredCall { consumer, id, node, sequence: receipt.sequence };
        let call = Hand::deliverWithProofCall {
            consumer,
            id,
            receipt: receipt.into(),
            bundle: evidence.into(),
            deviceProof: device.map(|d| Bytes::copy_from_slice(d)).unwrap_or_default(),
        };
        prove!(self, by, self.sender.view(self.hand, seen.clone()).await?, self.hand, call.clone())
    }

    async fn events_since(&self, cursor: &Cursor, limit: usize) -> Result<EventPage> {
        events::since(&self.sender, &self.deployment, cursor, limit).await
    }
}
