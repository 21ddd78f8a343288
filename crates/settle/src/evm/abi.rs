//! The contracts' interfaces, written once for Rust. A test holds them against the committed artifacts,
//! selector by selector.
#![allow(missing_docs)] // the contracts' own documentation explains every member

use alloy::sol;

sol! {
    #[derive(Debug)]
    struct Receipt {
        bytes32 job; uint64 sequence; address node; bytes32 device; bytes32 service; bytes32 model; bytes32 input;
        bytes32 output; uint64 units; uint64 windowStart; uint64 windowEnd; bytes32 evidence; bytes32 previous;
    }

    #[derive(Debug)]
    struct Job {
        address buyer; bytes32 salt; bytes32 service; bytes32 model; bytes32 input; uint64 unitPrice; uint64 maxUnits; uint64 windowFrom;
        uint64 windowUntil; uint64 deadline; uint8 assurance; uint16 slots; uint64 cell; bytes32 devices; bytes32 terms;
    }

    #[derive(Debug)]
    struct Bundle {
        Job job; bytes terms; bytes publicWords; bytes32[] feedProof; bytes output; bytes signature; bytes proof;
    }

    #[derive(Debug)]
    struct Balance { address account; uint256 cumulative; bytes32[] proof; }

    #[derive(Debug)]
    struct Settled { uint64 epoch; Receipt receipt; bytes32[] proof; }

    #[derive(Debug)]
    struct Place { uint24 maker; uint32 index; bytes32[24] proof; }

    #[derive(Debug)]
    struct Config {
        address token; address registry; address transitions; address poster; address auditor; uint64 challengeWindow; uint64 responseTime;
        uint128 posterBond; uint128 challengeBond;
    }

    #[derive(Debug)]
    struct Terms {
        address beneficiary; uint64 cell; uint64 start; uint16 dayCount; uint8 quorum; uint96 payout; bytes32 model;
        bytes32[3] stations; bytes32[3] jobs;
    }

    #[derive(Debug)]
    interface Token {
        function OWNER() external view returns (address);
        function mint(address to, uint256 amount) external;
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 amount) external returns (bool);
        error NotOwner();
        error AllowanceOverflow();
        error AllowanceUnderflow();
        error InsufficientAllowance();
        error InsufficientBalance();
        error InvalidPermit();
        error Permit2AllowanceIsFixedAtInfinity();
        error PermitExpired();
        error TotalSupplyOverflow();
    }

    #[derive(Debug)]
    interface Books {
        struct Epoch {
            bytes32 balancesRoot; bytes32 receiptsRoot; bytes32 logHash; uint128 total; uint64 postedAt; uint32 post;
            uint32 open;
        }
        struct Challenge { address challenger; uint64 deadline; uint32 epoch; }

        function deposit(uint256 amount) external;
        function bondPoster(uint256 amount) external;
        function unbondPoster(uint256 amount) external;
        function postEpoch(uint64 epoch, bytes32 balancesRoot, bytes32 receiptsRoot, bytes32 logHash, uint256 total) external;
        function claim(address account, uint256 cumulative, bytes32[] proof) external returns (uint256 paid);
        function veto(uint64 epoch) external;
        function challenge(uint64 epoch, Receipt receipt, bytes32[] proof) external;
        function answer(uint64 epoch, Receipt receipt, Bundle bundle) external;
        function resolve(uint64 epoch, bytes32 digest) external;
        function refundChallenge(uint32 post, bytes32 digest) external;
        function strike(uint64 epoch, bytes charge) external;
        function nameSuccessor(address next) external;
        function retire() external;
        function successor() external view returns (address);
        function openExit() external;
        function exit(address account) external returns (uint256 paid);
        function exitAmount(address account) external view returns (uint256);
        function exitOpen() external view returns (bool);
        function fresh(address account) external view returns (uint128 amount, uint32 post, bool exited);
        function accounts(address account) external view returns (uint128 deposited, uint128 claimed);
        function totalDeposits() external view returns (uint128);
        function posterBond() external view returns (uint128);
        function lastFinal() external view returns (uint64);
        function latestEpoch() external view returns (uint64);
        function epochs(uint64 epoch) external view returns (Epoch memory);
        function isFinal(uint64 epoch) external view returns (bool);
        function isSettledReceipt(bytes32 digest, uint64 epoch, bytes32[] proof) external view returns (bool);
        function receiptDigest(Receipt receipt) external view returns (bytes32);
        function domainSeparator() external view returns (bytes32);
        function challengeOf(uint32 post, bytes32 digest) external view returns (Challenge memory);

        error ZeroValue();
        error BadConfig();
        error AmountTooLarge();
        error InexactToken();
        error NotPoster();
        error NotAuditor();
        error ExitIsOpen();
        error ExitNotOpen();
        error BondTooSmall(uint256 have, uint256 need);
        error BondInUse();
        error EpochOutOfOrder(uint64 expected, uint64 got);
        error TooManyPending();
        error TotalFell(uint256 was, uint256 got);
        error TotalExceedsDeposits(uint256 deposits, uint256 got);
        error NothingFinal();
        error BadProof();
        error NothingToClaim(uint256 claimed);
        error ClaimExceedsTotal(uint256 left, uint256 asked);
        error EpochNotPending(uint64 epoch);
        error WindowClosed();
        error NoVerifier(bytes32 model);
        error WrongService(bytes32 service);
        error WrongJobId(bytes32 expected, bytes32 got);
        error UnlawfulReceipt();
        error WrongTerms();
        error WrongWindow(uint64 windowStart, uint64 windowEnd);
        error WrongOutput();
        error WrongClass(uint8 expected, int32 got);
        error WrongFeed();
        error NotSignedByNode(address node);
        error BadWords(uint256 length);
        error NotCharged();
        error NotGovernor();
        error NoSuccessor();
        error NoticeIsOver(uint64 retireAt);
        error ChallengeExists();
        error NoChallenge();
        error TooLate();
        error TooEarly(uint256 from);
        error StillStanding();
        error EpochsPending();
        error AlreadyExited();
        error InvalidShortString();
        error StringTooLong(string str);
        error ReentrancyGuardReentrantCall();

        event Deposited(address indexed account, uint256 amount, uint256 deposited);
        event EpochPosted(uint64 indexed epoch, bytes32 balancesRoot, bytes32 receiptsRoot, bytes32 logHash, uint256 total, uint32 post);
        event EpochsRolledBack(uint64 indexed from, uint64 to);
        event Claimed(address indexed account, uint256 amount, uint256 cumulative);
        event Challenged(uint64 indexed epoch, bytes32 indexed digest, address challenger, uint64 deadline, uint32 post);
        event ChallengeClosed(uint32 indexed post, bytes32 indexed digest, bool answered);
        event PosterSlashed(uint256 reward, uint256 burned);
        event Struck(uint64 indexed epoch, address indexed accuser, bytes4 rule);
        event SuccessorNamed(address indexed successor, uint64 retireAt);
        event ExitOpened();
        event Exited(address indexed account, uint256 amount);
    }

    #[derive(Debug)]
    interface Roll {
        struct Device { address owner; uint64 cell; uint24 maker; uint8 status; }
        struct Model { bytes32 program; address publisher; uint32 verifierClass; uint48 since; uint8 status; }
        struct Node { address operator; uint64 since; uint8 status; }

        function roles(address account) external view returns (uint8);
        function setRoles(address account, uint8 bits) external;
        function setVerifier(uint32 class, address verifier) external;
        function proposeVerifier(uint32 class, address verifier) external;
        function acceptVerifier(uint32 class) external;
        function classes(uint32 class) external view returns (address verifier, uint48 since, uint48 models);
        function proposals(uint32 class) external view returns (address verifier, uint48 readyAt);
        function verifierOf(bytes32 id) external view returns (address verifier, uint64 since);
        function verifierOfKey(bytes32 keyHash) external view returns (address);
        function appendDevices(bytes32 subtree, uint8 height) external;
        function rollOf(uint24 maker) external view returns (bytes32 root, uint32 count);
        function makerId(address account) external view returns (uint24);
        function isOnRoll(bytes32 key, address owner, uint64 cell, Place place) external view returns (bool);
        function unpackDevice(bytes32 key, address owner, uint64 cell, Place place) external;
        function enrolDevice(bytes32 key, address owner, uint64 cell) external;
        function transferDevice(bytes32 key, address owner) external;
        function revokeDevice(bytes32 key) external;
        function device(bytes32 key) external view returns (Device memory);
        function registerModel(bytes32 id, bytes32 program, uint32 verifierClass) external;
        function revokeModel(bytes32 id) external;
        function model(bytes32 id) external view returns (Model memory);
        function registerNode(address operator) external;
        function retireNode(address node_) external;
        function node(address node_) external view returns (Node memory);

        error NotGovernor();
        error NotMaker();
        error NotPublisher();
        error NotAllowed();
        error ZeroValue();
        error DeviceExists(bytes32 key);
        error DeviceNotActive(bytes32 key);
        error ModelExists(bytes32 id);
        error ModelNotActive(bytes32 id);
        error NodeExists(address node);
        error NodeNotActive(address node);
        error VerifierExists(uint32 class);
        error ClassInUse(uint32 class);
        error NoProposal(uint32 class);
        error TooEarly(uint256 from);
        error Misaligned(uint32 count, uint8 height);
        error RollFull(uint32 count);
        error NotOnRoll(uint24 maker, uint32 index);

        event DeviceEnrolled(bytes32 indexed key, address indexed owner, uint64 cell, uint24 maker);
        event DeviceRevoked(bytes32 indexed key);
        event ModelRegistered(bytes32 indexed id, bytes32 program, uint32 verifierClass, address indexed publisher);
        event ModelRevoked(bytes32 indexed id);
        event NodeRegistered(address indexed node, address indexed operator);
    }

    #[derive(Debug)]
    interface Bonds {
        function bonds(address node) external view returns (uint128 bonded, uint128 unbonding, uint64 unbondAt);
        function bond(address node, uint256 amount) external;
        function startUnbonding(uint256 amount) external;
        function withdraw() external returns (uint256 amount);
        function slashEquivocation(Receipt a, bytes sigA, Receipt b, bytes sigB) external returns (uint256 reward);
        function slashDeviceEquivocation(Receipt a, bytes sigA, bytes proofA, Receipt b, bytes proofB) external returns (uint256 reward);

        error ZeroValue();
        error AmountTooLarge();
        error InexactToken();
        error NotEnough(uint256 have, uint256 asked);
        error TooEarly(uint256 from);
        error SameReceipt();
        error DifferentNodes();
        error NoConflict();
        error BadSignature();
        error NothingAtStake();
        error DifferentDevices();
        error ReentrancyGuardReentrantCall();

        event Bonded(address indexed node, uint256 amount, uint256 bonded);
        event UnbondingStarted(address indexed node, uint256 amount, uint64 unbondAt);
        event Slashed(address indexed node, address indexed reporter, uint256 reward, uint256 burned, bytes32 digestA, bytes32 digestB);
    }

    #[derive(Debug)]
    interface Frost {
        struct Policy {
            address beneficiary; uint56 start; bool proofs; uint16 dayCount; uint8 quorum; uint8 status; address insurer; uint96 payout;
        }

        function open(Terms terms, bytes32 salt) external returns (bytes32 id);
        function report(bytes32 id, Receipt receipt, bytes outputBytes, uint64 epoch, bytes32[] proof) external;
        function reclaim(bytes32 id) external;
        function policy(bytes32 id) external view returns (Policy memory);
        function policyId(address insurer, bytes32 salt, Terms terms) external pure returns (bytes32);
        function stationOf(bytes32 id, bytes32 device, bytes32 job, bytes32 model) external view returns (uint256);
        function dayMarks(bytes32 id, uint256 day) external view returns (uint256 bits, uint256 count);

        error BadConfig();
        error BadTerms();
        error InexactToken();
        error PolicyExists(bytes32 id);
        error PolicyNotOpen(bytes32 id);
        error StationNotActive(bytes32 key);
        error StationElsewhere(bytes32 key, uint64 cell);
        error ModelNotActive(bytes32 model);
        error NotAStation(bytes32 device);
        error WrongWork(bytes32 device, bytes32 job, bytes32 model);
        error NotADay(uint64 windowStart, uint64 windowEnd);
        error OutputMismatch();
        error BadOutput(uint256 length);
        error NotGenuine(int32 class);
        error NotTriggered(int32 word);
        error DayCounted(uint256 day, bytes32 device);
        error NotSettled(bytes32 digest, uint64 epoch);
        error NotDelivery();
        error NoProofMode(bytes32 id);
        error NotInsurer();
        error TooEarly(uint256 from);
        error ReentrancyGuardReentrantCall();

        event PolicyOpened(bytes32 indexed id, address indexed insurer, address indexed beneficiary, uint256 payout, Terms terms);
        event DayReported(bytes32 indexed id, uint256 day, bytes32 indexed device, bytes32 digest, uint256 stations);
        event PolicyPaid(bytes32 indexed id, address indexed beneficiary, uint256 payout, uint256 day);
        event PolicyReclaimed(bytes32 indexed id, address indexed insurer, uint256 payout);
    }

    #[derive(Debug)]
    interface Hand {
        function deliverWithProof(address consumer, bytes32 id, Receipt receipt, Bundle bundle, bytes deviceProof) external;
        function isDelivered(address consumer, bytes32 id, address node, uint64 sequence) external view returns (bool);

        error AlreadyDelivered(bytes32 digest);
        error WindowNotOver(uint64 windowEnd);
        error DeviceNotOfNode(bytes32 device);
        error WrongDeviceKey(bytes32 device);
        error NotSignedByDevice(bytes32 device);
        error MissingPrecompile(address);
        error ReentrancyGuardReentrantCall();
        error WrongService(bytes32 service);
        error WrongJobId(bytes32 expected, bytes32 got);
        error UnlawfulReceipt();
        error WrongTerms();
        error WrongWindow(uint64 windowStart, uint64 windowEnd);
        error WrongOutput();
        error WrongClass(uint8 expected, int32 got);
        error WrongFeed();
        error NotSignedByNode(address node);
        error NoVerifier(bytes32 model);
        error BadWords(uint256 length);

        event Delivered(address indexed consumer, bytes32 indexed id, bytes32 indexed digest);
    }

    #[derive(Debug)]
    interface Pairing {
        function keyHash() external view returns (bytes32);
        function verify(uint256 statement, bytes proof) external view;

        error BadKey();
        error BadLength(uint256 length);
        error InputTooLarge();
        error CoordinateTooLarge();
        error PrecompileFailed();
        error PointRejected();
        error ProofRejected();
    }

    #[derive(Debug)]
    interface Rules {
        function balanceFell(address books, uint64 epoch, Balance was, Balance now_) external view returns (bytes32);
        function belowClaimed(address books, uint64 epoch, Balance now_) external view returns (bytes32);
        function accountTwice(address books, uint64 epoch, Balance a, Balance b) external view returns (bytes32);
        function sumAboveTotal(address books, uint64 epoch, Balance[] balances) external view returns (bytes32);
        function paidTwice(address books, uint64 epoch, Settled a, Settled b) external view returns (bytes32);
        function aboveCap(address books, uint64 epoch, Job job, Settled[] receipts) external view returns (bytes32);
        function againstJob(address books, uint64 epoch, Job job, Settled s) external view returns (bytes32);

        error BadProof();
        error NoBreach();
        error NotThisEpoch();
        error NotAscending();
    }

    /// Errors that no artifact lists: those of SafeTransferLib, written in assembly, and the compiler's
    /// own.
    #[derive(Debug)]
    interface Library {
        error TransferFailed();
        error TransferFromFailed();
        error Error(string reason);
        error Panic(uint256 code);
    }
}

impl From<&proofmesh_market::Receipt> for Receipt {
    fn from(r: &proofmesh_market::Receipt) -> Self {
        Self {
            job: r.job.0.into(),
            sequence: r.sequence,
            node: r.node.0.into(),
            device: r.device.0.into(),
            service: r.service.0.into(),
            model: r.model.0.into(),
            input: r.input.0.into(),
            output: r.output.0.into(),
            units: r.units,
            windowStart: r.window_start,
            windowEnd: r.window_end,
            evidence: r.evidence.0.into(),
            previous: r.previous.0.into(),
        }
    }
}

impl From<&crate::CoverTerms> for Terms {
    fn from(t: &crate::CoverTerms) -> Self {
        Self {
            beneficiary: t.beneficiary.0.into(),
            cell: t.cell,
            start: t.start,
            dayCount: t.day_count,
            quorum: t.quorum,
            payout: alloy::primitives::aliases::U96::from(t.payout.micro()),
            model: t.model.0.into(),
            stations: t.stations.map(|s| s.0.into()),
            jobs: t.jobs.map(|j| j.0.into()),
        }
    }
}

impl From<&proofmesh_market::Job> for Job {
    fn from(j: &proofmesh_market::Job) -> Self {
        let devices: Vec<u8> = j.devices.iter().flat_map(|device| device.0).collect();
        Self {
            buyer: j.buyer.0.into(),
            salt: j.salt.0.into(),
            service: j.service.0.into(),
            model: j.model.0.into(),
            input: j.input.0.into(),
            unitPrice: j.unit_price.micro(),
            maxUnits: j.max_units,
            windowFrom: j.window_from_s,
            windowUntil: j.window_until_s,
            deadline: j.deadline_s,
            assurance: j.assurance as u8,
            slots: j.slots,
            cell: j.cell,
            devices: proofmesh_market::keccak(&devices).0.into(),
            terms: proofmesh_market::keccak(&j.terms).0.into(),
        }
    }
}

impl From<&crate::Evidence> for Bundle {
    fn from(e: &crate::Evidence) -> Self {
        Self {
            job: (&e.job).into(),
            terms: e.job.terms.clone().into(),
            publicWords: e.public_words.clone().into(),
            feedProof: e.feed_proof.iter().map(|h| h.0.into()).collect(),
            output: e.receipt.output_bytes().to_vec().into(),
            signature: e.receipt.node_signature.0.to_vec().into(),
            proof: e.proof.clone().into(),
        }
    }
}

impl From<&crate::BalanceLeaf> for Balance {
    fn from(b: &crate::BalanceLeaf) -> Self {
        Self {
            account: b.account.0.into(),
            cumulative: alloy::primitives::U256::from(b.cumulative.micro()),
            proof: b.proof.iter().map(|h| h.0.into()).collect(),
        }
    }
}

impl From<&crate::SettledReceipt> for Settled {
    fn from(s: &crate::SettledReceipt) -> Self {
        Self {
            epoch: s.epoch,
            receipt: (&s.receipt).into(),
            proof: s.proof.iter().map(|h| h.0.into()).collect(),
        }
    }
}

impl crate::Breach {
    /// The call of `Transitions` that shows this breach in `epoch` of `books`.
    pub(crate) fn charge(&self, books: alloy::primitives::Address, epoch: u64) -> Vec<u8> {
        use alloy::sol_types::SolCall;
        match self {
            Self::BalanceFell { was, now } => {
                Rules::balanceFellCall { books, epoch, was: was.into(), now_: now.into() }.abi_encode()
            }
            Self::BelowClaimed(now) => {
                Rules::belowClaimedCall { books, epoch, now_: now.into() }.abi_encode()
            }
            Self::AccountTwice(a, b) => {
                Rules::accountTwiceCall { books, epoch, a: a.into(), b: b.into() }.abi_encode()
            }
            Self::SumAboveTotal(leaves) => {
                let balances = leaves.iter().map(Balance::from).collect();
                Rules::sumAboveTotalCall { books, epoch, balances }.abi_encode()
            }
            Self::PaidTwice(a, b) => {
                Rules::paidTwiceCall { books, epoch, a: (&**a).into(), b: (&**b).into() }.abi_encode()
            }
            Self::AboveCap(job, settled) => {
                let receipts = settled.iter().map(Settled::from).collect();
                Rules::aboveCapCall { books, epoch, job: (&**job).into(), receipts }.abi_encode()
            }
            Self::AgainstJob(job, settled) => {
                Rules::againstJobCall { books, epoch, job: (&**job).into(), s: (&**settled).into() }
                    .abi_encode()
            }
        }
    }
}
