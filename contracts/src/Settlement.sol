// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeTransferLib} from "solady/utils/SafeTransferLib.sol";
import {Evidence} from "./Evidence.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Receipts} from "./Receipts.sol";
import {Registry} from "./Registry.sol";
import {BREACH, Transitions} from "./Transitions.sol";

/// @title Deposits in, one root per epoch, cumulative claims out.
/// @notice What holds whatever the poster does:
///  - solvency: all claims together never exceed the total of the final epoch, and that total never exceeds deposits or falls;
///  - money goes only to the account that a leaf names; nobody can pause, redirect or take money;
///  - deposits made after the last posting are out of the poster's reach and come back in full by the forced exit;
///  - an epoch is final only after the window, in which the auditor may veto it (stop, not take), anyone may challenge a receipt whose model
///    had a verifier when the epoch was posted (the wrapped proof answers, or the bond is lost), and anyone may strike an epoch that breaks a rule of
///    Transitions.
/// What the poster is trusted for: that a balance grew by no more than its receipts and withdrawals give. Leaves do not say what they are made of
/// (contracts/README.md), so the auditor's veto is what guards that.
/// There is no upgrade of this contract. The governor can name a successor; EXIT_DELAY later anybody can end this one, which opens the exit.
/// Invariant: token balance >= (totalDeposits - totalClaimed - exits) + posterBond + bonds of open challenges.
contract Settlement is ISettlement, EIP712, ReentrancyGuardTransient {
    using SafeTransferLib for address;

    /// @notice Constructor parameters. Times in seconds, money in base units.
    struct Config {
        address token;
        Registry registry;
        Transitions transitions;
        address poster;
        address auditor;
        uint64 challengeWindow;
        uint64 responseTime;
        uint128 posterBond;
        uint128 challengeBond;
    }

    /// @notice One slot for ever: all that the account ever put in, all that it ever took out by claims.
    struct Account {
        uint128 deposited;
        uint128 claimed;
    }

    /// @notice Deposits made since posting number `post`, needed by the exit only.
    struct Fresh {
        uint128 amount;
        uint32 post;
        bool exited;
    }

    /// @notice A posted epoch. post: number of this posting (an epoch number can be posted again after a rollback); open: open challenges.
    struct Epoch {
        bytes32 balancesRoot;
        bytes32 receiptsRoot;
        bytes32 logHash;
        uint128 total;
        uint64 postedAt;
        uint32 post;
        uint32 open;
    }

    /// @notice A challenge of one receipt of one posting. One slot.
    struct Challenge {
        address challenger;
        uint64 deadline;
        uint32 epoch;
    }

    /// @notice Without a new surviving posting for this long, anybody may open the exit.
    uint64 public constant EXIT_DELAY = 30 days;
    /// @notice Epochs that may wait for finality at once; bounds every loop here.
    uint64 public constant MAX_PENDING = 64;
    /// @notice Where slashed money that nobody earned goes.
    address public constant BURN = 0x000000000000000000000000000000000000dEaD;

    /// @notice Token of account. Must move exactly the amount asked for.
    address public immutable TOKEN;
    /// @notice Models and verifiers.
    Registry public immutable REGISTRY;
    /// @notice Judges accusations of `strike`.
    Transitions public immutable TRANSITIONS;
    /// @notice The only account that posts.
    address public immutable POSTER;
    /// @notice May veto an epoch that is not final; zero for none.
    address public immutable AUDITOR;
    /// @inheritdoc ISettlement
    uint64 public immutable CHALLENGE_WINDOW;
    /// @inheritdoc ISettlement
    uint64 public immutable RESPONSE_TIME;
    /// @notice Bond that must lie here for a posting; all of it is lost with one unanswered challenge.
    uint128 public immutable POSTER_BOND;
    /// @notice Bond of a challenger; the poster's if it answers.
    uint128 public immutable CHALLENGE_BOND;

    /// @notice All deposits ever.
    uint128 public totalDeposits;
    /// @notice All claims ever.
    uint128 public totalClaimed;
    /// @notice Bond of the poster that lies here.
    uint128 public posterBond;
    /// @notice totalDeposits at the last posting, rolled back or not.
    uint128 public accountedDeposits;
    /// @notice Newest posted epoch.
    uint64 public latestEpoch;
    /// @notice Newest epoch recorded as final; isFinal may already say yes to later ones.
    uint64 public finalEpoch;
    /// @notice Postings so far.
    uint32 public posts;
    /// @notice Challenges open now, in all epochs. Each gives the poster RESPONSE_TIME more, so that a flood cannot outrun its prover.
    uint32 public openChallenges;
    /// @notice True for ever once the forced exit is open.
    bool public exitOpen;
    /// @notice The contract that accounts are invited to move to, if the governor named one.
    address public successor;
    /// @notice From when on anybody may end this contract in favour of the successor; 0 if none is named.
    uint64 public retireAt;

    mapping(address account => Account) public accounts;
    mapping(address account => Fresh) public fresh;
    mapping(uint64 epoch => Epoch) private _epochs;
    mapping(bytes32 key => Challenge) private _challenges;

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
    error ChallengeExists();
    error NoChallenge();
    error TooLate();
    error TooEarly(uint256 from);
    error StillStanding();
    error NotCharged();
    error NotGovernor();
    error NoSuccessor();
    error NoticeIsOver(uint64 retireAt);
    error EpochsPending();
    error AlreadyExited();

    event Deposited(address indexed account, uint256 amount, uint256 deposited);
    event EpochPosted(
        uint64 indexed epoch, bytes32 balancesRoot, bytes32 receiptsRoot, bytes32 logHash, uint256 total, uint32 post
    );
    event EpochsRolledBack(uint64 indexed from, uint64 to);
    event Claimed(address indexed account, uint256 amount, uint256 cumulative);
    event PosterBonded(uint256 amount, uint256 bond);
    event PosterUnbonded(uint256 amount, uint256 bond);
    event PosterSlashed(uint256 reward, uint256 burned);
    event Challenged(uint64 indexed epoch, bytes32 indexed digest, address challenger, uint64 deadline, uint32 post);
    event ChallengeClosed(uint32 indexed post, bytes32 indexed digest, bool answered);
    event Struck(uint64 indexed epoch, address indexed accuser, bytes4 rule);
    event SuccessorNamed(address indexed successor, uint64 retireAt);
    event ExitOpened();
    event Exited(address indexed account, uint256 amount);

    constructor(Config memory c) EIP712("Proofmesh", "1") {
        if (c.token == address(0) || address(c.registry) == address(0) || c.poster == address(0)) revert ZeroValue();
        // A call to an address without code would succeed.
        if (address(c.transitions).code.length == 0) revert BadConfig();
        // The exit must never open before an epoch posted in time could have become final.
        if (uint256(c.challengeWindow) + c.responseTime >= EXIT_DELAY) revert BadConfig();
        TOKEN = c.token;
        REGISTRY = c.registry;
        TRANSITIONS = c.transitions;
        POSTER = c.poster;
        AUDITOR = c.auditor;
        CHALLENGE_WINDOW = c.challengeWindow;
        RESPONSE_TIME = c.responseTime;
        POSTER_BOND = c.posterBond;
        CHALLENGE_BOND = c.challengeBond;
        // Epoch 0 is the start: nothing owed, the poster's silence counts from here.
        _epochs[0].postedAt = uint64(block.timestamp);
    }

    // ---------------------------------------------------------------- money in

    /// @notice Deposits `amount` of the sender's tokens for the sender.
    function deposit(uint256 amount) external nonReentrant {
        _deposit(amount);
    }

    /// @notice As deposit, with an EIP-2612 permit instead of an earlier approval. A permit that somebody else already used is no obstacle.
    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external nonReentrant {
        try IERC20Permit(TOKEN).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(amount);
    }

    // ---------------------------------------------------------------- the poster

    /// @notice The poster adds to its bond.
    function bondPoster(uint256 amount) external nonReentrant {
        if (msg.sender != POSTER) revert NotPoster();
        posterBond += _amount(amount);
        _pull(amount);
        emit PosterBonded(amount, posterBond);
    }

    /// @notice The poster takes from its bond, while no epoch waits for finality.
    function unbondPoster(uint256 amount) external nonReentrant {
        if (msg.sender != POSTER) revert NotPoster();
        finalise();
        if (finalEpoch != latestEpoch) revert BondInUse();
        if (amount > posterBond) revert BondTooSmall(posterBond, amount);
        posterBond -= uint128(amount);
        TOKEN.safeTransfer(POSTER, amount);
        emit PosterUnbonded(amount, posterBond);
    }

    /// @notice The poster posts the next epoch.
    /// @param epoch latestEpoch + 1
    /// @param balancesRoot root over (account, cumulative)
    /// @param receiptsRoot root over digests of accepted receipts
    /// @param logHash head of the event log's hash chain
    /// @param total sum of all cumulatives
    function postEpoch(uint64 epoch, bytes32 balancesRoot, bytes32 receiptsRoot, bytes32 logHash, uint256 total)
        external
    {
        if (msg.sender != POSTER) revert NotPoster();
        if (exitOpen) revert ExitIsOpen();
        // Postings without end would keep the end away.
        if (retireAt != 0 && block.timestamp >= retireAt) revert NoticeIsOver(retireAt);
        if (posterBond < POSTER_BOND) revert BondTooSmall(posterBond, POSTER_BOND);
        finalise();
        uint64 latest = latestEpoch;
        if (epoch != latest + 1) revert EpochOutOfOrder(latest + 1, epoch);
        if (latest - finalEpoch >= MAX_PENDING) revert TooManyPending();
        if (total < _epochs[latest].total) revert TotalFell(_epochs[latest].total, total);
        if (total > totalDeposits) revert TotalExceedsDeposits(totalDeposits, total);
        uint32 post = ++posts;
        _epochs[epoch] = Epoch(balancesRoot, receiptsRoot, logHash, uint128(total), uint64(block.timestamp), post, 0);
        latestEpoch = epoch;
        accountedDeposits = totalDeposits;
        emit EpochPosted(epoch, balancesRoot, receiptsRoot, logHash, total, post);
    }

    /// @notice Records as final whatever is final by now. Anybody, any time; other calls do it themselves.
    function finalise() public {
        uint64 was = finalEpoch;
        uint64 now_ = _lastFinal();
        if (now_ != was) finalEpoch = now_;
    }

    // ---------------------------------------------------------------- money out

    /// @notice Pays what the newest final root owes `account` beyond what it has claimed. Anybody may send it; the account gets the money.
    /// @param account the account
    /// @param cumulative all that the account may ever have taken out
    /// @param proof siblings from the account's leaf to the newest final balances root
    /// @return paid base units paid now
    function claim(address account, uint256 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 paid)
    {
        finalise();
        Epoch storage e = _epochs[finalEpoch];
        if (finalEpoch == 0) revert NothingFinal();
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, e.balancesRoot, leaf)) revert BadProof();
        Account storage a = accounts[account];
        if (cumulative <= a.claimed) revert NothingToClaim(a.claimed);
        paid = cumulative - a.claimed;
        // The leaves are the poster's word; that they add up to no more than `total` is enforced here.
        uint256 left = e.total - totalClaimed;
        if (paid > left) revert ClaimExceedsTotal(left, paid);
        a.claimed = uint128(cumulative);
        totalClaimed += uint128(paid);
        TOKEN.safeTransfer(account, paid);
        emit Claimed(account, paid, cumulative);
    }

    // ---------------------------------------------------------------- veto and challenge

    /// @notice The auditor strikes a posted epoch that is not final, and all after it. Moves no money.
    function veto(uint64 epoch) external {
        if (msg.sender != AUDITOR) revert NotAuditor();
        _requirePending(epoch);
        _rollBack(epoch);
    }

    /// @notice Asks the poster to prove one receipt of a pending epoch. Needs CHALLENGE_BOND, and a verifier that the receipt's model had before the
    /// epoch was posted: a verifier set afterwards could be one that accepts nothing. The epoch and all after it wait until the poster has answered
    /// or lost.
    function challenge(uint64 epoch, Receipts.Receipt calldata receipt, bytes32[] calldata proof)
        external
        nonReentrant
    {
        _requirePending(epoch);
        Epoch storage e = _epochs[epoch];
        if (block.timestamp >= e.postedAt + CHALLENGE_WINDOW) revert WindowClosed();
        // Evidence can answer for this service alone: what it cannot answer for must not be asked.
        if (receipt.service != Evidence.INFERENCE) revert Evidence.WrongService(receipt.service);
        (IProofVerifier verifier, uint64 since) = REGISTRY.verifierOf(receipt.model);
        if (address(verifier) == address(0) || since >= e.postedAt) revert Evidence.NoVerifier(receipt.model);
        bytes32 digest = receiptDigest(receipt);
        if (!MerkleProof.verifyCalldata(proof, e.receiptsRoot, Receipts.leaf(digest))) revert BadProof();
        Challenge storage c = _challenges[_key(e.post, digest)];
        if (c.challenger != address(0)) revert ChallengeExists();
        uint64 deadline = uint64(block.timestamp) + RESPONSE_TIME * ++openChallenges;
        (c.challenger, c.deadline, c.epoch) = (msg.sender, deadline, uint32(epoch));
        ++e.open;
        _pull(CHALLENGE_BOND);
        emit Challenged(epoch, digest, msg.sender, deadline, e.post);
    }

    /// @notice Answers an open challenge with the receipt's evidence (it reverts, by name, where that does not hold). Anybody may; the poster gets the
    /// challenger's bond.
    function answer(uint64 epoch, Receipts.Receipt calldata receipt, Evidence.Bundle calldata bundle) external nonReentrant {
        Epoch storage e = _epochs[epoch];
        bytes32 digest = receiptDigest(receipt);
        Challenge storage c = _challenges[_key(e.post, digest)];
        // An answered challenge keeps its challenger and loses its deadline, so that a receipt is challenged once per posting.
        if (e.post == 0 || c.deadline == 0) revert NoChallenge();
        if (block.timestamp > c.deadline) revert TooLate();
        c.deadline = 0;
        --e.open;
        --openChallenges;
        Evidence.check(receipt, digest, bundle, _domainSeparatorV4(), address(this), REGISTRY);
        TOKEN.safeTransfer(POSTER, CHALLENGE_BOND);
        emit ChallengeClosed(e.post, digest, true);
    }

    /// @notice After the deadline of an unanswered challenge: strikes the epoch and all after it, slashes the poster (half to the challenger,
    /// half burned) and returns the challenger's bond.
    function resolve(uint64 epoch, bytes32 digest) external nonReentrant {
        Epoch storage e = _epochs[epoch];
        uint32 post = e.post;
        Challenge storage c = _challenges[_key(post, digest)];
        if (post == 0 || c.deadline == 0) revert NoChallenge();
        if (block.timestamp <= c.deadline) revert TooEarly(uint256(c.deadline) + 1);
        c.deadline = 0;
        // Final epochs stay final: an open challenge has kept this one pending.
        finalise();
        _slash(epoch, c.challenger, CHALLENGE_BOND);
        emit ChallengeClosed(post, digest, false);
    }

    /// @notice Strikes a pending epoch that breaks a rule of the market, and all after it, at once; half of the poster's bond goes to the sender.
    /// @param epoch the accused epoch
    /// @param charge a call of one function of Transitions, with this contract and this epoch as its first arguments
    function strike(uint64 epoch, bytes calldata charge) external nonReentrant {
        _requirePending(epoch);
        if (charge.length < 68) revert NotCharged();
        (address books, uint64 accused) = abi.decode(charge[4:68], (address, uint64));
        if (books != address(this) || accused != epoch) revert NotCharged();
        (bool shown, bytes memory said) = address(TRANSITIONS).staticcall(charge);
        if (!shown) {
            assembly ("memory-safe") {
                revert(add(said, 0x20), mload(said))
            }
        }
        if (keccak256(said) != keccak256(abi.encode(BREACH))) revert NotCharged();
        _slash(epoch, msg.sender, 0);
        emit Struck(epoch, msg.sender, bytes4(charge[:4]));
    }

    /// @notice Returns the bond of a challenge whose posting was struck for another reason before it was answered.
    function refundChallenge(uint32 post, bytes32 digest) external nonReentrant {
        Challenge storage c = _challenges[_key(post, digest)];
        if (c.deadline == 0) revert NoChallenge();
        if (_epochs[c.epoch].post == post) revert StillStanding();
        c.deadline = 0;
        TOKEN.safeTransfer(c.challenger, CHALLENGE_BOND);
        emit ChallengeClosed(post, digest, false);
    }

    // ---------------------------------------------------------------- end and forced exit

    /// @notice The governor names the contract that accounts may move to, or (zero) takes that back. Nothing happens for EXIT_DELAY, in which the
    /// poster goes on, and who asks for it has its balance put into its leaf.
    function nameSuccessor(address next) external {
        if (msg.sender != REGISTRY.governor()) revert NotGovernor();
        (successor, retireAt) = (next, next == address(0) ? 0 : uint64(block.timestamp + EXIT_DELAY));
        emit SuccessorNamed(next, retireAt);
    }

    /// @notice Ends this contract when its successor's notice is over: the exit opens. Claims go on for ever.
    function retire() external {
        _requireQuiet();
        if (retireAt == 0) revert NoSuccessor();
        if (block.timestamp < retireAt) revert TooEarly(retireAt);
        _openExit();
    }

    /// @notice Opens the exit if the newest surviving posting is older than EXIT_DELAY. For ever: no deposits, no epochs after it; claims go on.
    function openExit() external {
        _requireQuiet();
        uint256 from = uint256(_epochs[latestEpoch].postedAt) + EXIT_DELAY;
        if (block.timestamp < from) revert TooEarly(from);
        _openExit();
    }

    /// @notice Pays `account` its part of what no root accounts for, once. Anybody may send it; the account gets the money.
    /// @dev Deposits since the last posting come back in full: no root can have spent them. Older deposits less the final total are unspent
    /// balances, escrow of open jobs and burned money, and the contract cannot see whose: they are shared in proportion to older
    /// deposits. So the sum of exits is at most totalDeposits - total, and what roots owe (total) stays for claims.
    function exit(address account) external nonReentrant returns (uint256 paid) {
        if (!exitOpen) revert ExitNotOpen();
        Fresh storage f = fresh[account];
        if (f.exited) revert AlreadyExited();
        paid = exitAmount(account);
        if (paid == 0) revert ZeroValue();
        f.exited = true;
        TOKEN.safeTransfer(account, paid);
        emit Exited(account, paid);
    }

    /// @notice What exit would pay `account` if the exit were open now; 0 after it took it.
    function exitAmount(address account) public view returns (uint256) {
        Fresh storage f = fresh[account];
        if (f.exited) return 0;
        uint256 recent = f.post == posts ? f.amount : 0;
        uint256 base = accountedDeposits;
        if (base == 0) return recent;
        uint256 older = accounts[account].deposited - recent;
        return recent + older * (base - _epochs[latestEpoch].total) / base;
    }

    // ---------------------------------------------------------------- views

    /// @notice A posted epoch; all zero if not posted. Epoch 0 holds the time of deployment.
    function epochs(uint64 epoch) external view returns (Epoch memory) {
        return _epochs[epoch];
    }

    /// @notice Newest final epoch, 0 if none; claims prove against its balances root.
    function lastFinal() external view returns (uint64) {
        return _lastFinal();
    }

    /// @notice True if `epoch` is final. Once true, true for ever.
    function isFinal(uint64 epoch) public view returns (bool) {
        return epoch != 0 && epoch <= _lastFinal();
    }

    /// @inheritdoc ISettlement
    function isSettledReceipt(bytes32 digest, uint64 epoch, bytes32[] calldata proof) external view returns (bool) {
        return isFinal(epoch) && MerkleProof.verifyCalldata(proof, _epochs[epoch].receiptsRoot, Receipts.leaf(digest));
    }

    /// @inheritdoc ISettlement
    function receiptDigest(Receipts.Receipt calldata receipt) public view returns (bytes32) {
        return Receipts.digest(receipt, _domainSeparatorV4());
    }

    /// @inheritdoc ISettlement
    function roots(uint64 epoch) external view returns (bytes32 balancesRoot, bytes32 receiptsRoot, uint256 total) {
        Epoch storage e = _epochs[epoch];
        return (e.balancesRoot, e.receiptsRoot, e.total);
    }

    /// @inheritdoc ISettlement
    function claimedOf(address account) external view returns (uint256) {
        return accounts[account].claimed;
    }

    /// @inheritdoc ISettlement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @notice The challenge of a receipt in a posting; deadline 0 if none is open.
    function challengeOf(uint32 post, bytes32 digest) external view returns (Challenge memory) {
        return _challenges[_key(post, digest)];
    }

    // ---------------------------------------------------------------- below

    /// @dev The exit opens once, and on final books: what waits for finality is money of somebody.
    function _requireQuiet() private {
        if (exitOpen) revert ExitIsOpen();
        finalise();
        if (finalEpoch != latestEpoch) revert EpochsPending();
    }

    function _openExit() private {
        exitOpen = true;
        emit ExitOpened();
    }

    /// @dev Strikes `epoch` and all after it. Half of the poster's bond to `winner`, with what it gets back; half burned, so that a poster that accuses
    /// itself loses too.
    function _slash(uint64 epoch, address winner, uint256 back) private {
        uint256 bond = posterBond;
        uint256 reward = bond / 2;
        posterBond = 0;
        _rollBack(epoch);
        if (reward + back != 0) TOKEN.safeTransfer(winner, reward + back);
        if (bond != reward) TOKEN.safeTransfer(BURN, bond - reward);
        emit PosterSlashed(reward, bond - reward);
    }

    function _deposit(uint256 amount) private {
        if (amount == 0) revert ZeroValue();
        if (exitOpen) revert ExitIsOpen();
        uint128 value = _amount(amount);
        Account storage a = accounts[msg.sender];
        totalDeposits += value;
        a.deposited += value;
        Fresh storage f = fresh[msg.sender];
        if (f.post == posts) f.amount += value;
        else (f.post, f.amount) = (posts, value);
        _pull(amount);
        emit Deposited(msg.sender, amount, a.deposited);
    }

    /// @dev A token that takes a fee would break solvency without a sound: refuse it.
    function _pull(uint256 amount) private {
        uint256 before = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
        if (TOKEN.balanceOf(address(this)) - before != amount) revert InexactToken();
    }

    function _amount(uint256 amount) private pure returns (uint128) {
        if (amount > type(uint128).max) revert AmountTooLarge();
        return uint128(amount);
    }

    function _key(uint32 post, bytes32 digest) private pure returns (bytes32) {
        return keccak256(abi.encode(post, digest));
    }

    /// @dev Finality is a prefix: an epoch waits for all before it. At most MAX_PENDING steps.
    function _lastFinal() private view returns (uint64 last) {
        last = finalEpoch;
        uint64 latest = latestEpoch;
        while (last < latest) {
            Epoch storage e = _epochs[last + 1];
            if (e.open != 0 || block.timestamp < e.postedAt + CHALLENGE_WINDOW) break;
            ++last;
        }
    }

    function _requirePending(uint64 epoch) private {
        finalise();
        if (epoch <= finalEpoch || epoch > latestEpoch) revert EpochNotPending(epoch);
    }

    function _rollBack(uint64 from) private {
        uint64 latest = latestEpoch;
        uint32 open;
        for (uint64 i = from; i <= latest; ++i) {
            open += _epochs[i].open;
            delete _epochs[i];
        }
        // Their challengers get their bonds back by refundChallenge.
        if (open != 0) openChallenges -= open;
        latestEpoch = from - 1;
        emit EpochsRolledBack(from, latest);
    }
}
