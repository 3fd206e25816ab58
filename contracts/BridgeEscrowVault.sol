// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IBridgeRegistry} from "./IBridgeRegistry.sol";
import {IComplianceGuard} from "./IComplianceGuard.sol";
import {IWToken} from "./IWToken.sol";

/// @title The bridge's escrow on this chain: what leaves is locked here, what arrives is paid from here.
/// @notice An outbound transfer is initiated, then settled or failed by the relayer. Failed, or unsettled after
/// `settlementTimeout`, it can be refunded: once the HSM's key signed for it, and to nobody but its sender.
/// @dev What is locked for pending transfers pays no inbound one: `bridgeReserve` is the balance without it. Relayers
/// are trusted to know what happened on the other chain. What the compliance guard refuses, and a reserve that does not
/// suffice, do not revert: the log of it would be lost.
contract BridgeEscrowVault is AccessControl, Pausable, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice Who settles, fails and releases transfers.
    bytes32 public constant RELAYER_ROLE = keccak256("RELAYER_ROLE");

    /// @notice Whose signature starts a refund: a key in the HSM.
    bytes32 public constant HSM_SIGNER_ROLE = keccak256("HSM_SIGNER_ROLE");

    /// @notice Who may pause new transfers and releases. Only the admin ends the pause.
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @notice What the HSM signs (EIP-712).
    bytes32 public constant REFUND_TYPEHASH =
        keccak256("RefundRequest(bytes32 transferId,uint256 amount,bytes32 reason,uint256 deadline)");

    bytes32 private constant _DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    enum TransferStatus {
        None,
        Initiated,
        Settled,
        Failed,
        RefundInitiated,
        Refunded
    }

    struct Transfer {
        TransferStatus status;
        uint64 initiatedAt;
        address token;
        address sender;
        address recipient;
        uint256 destinationChainId;
        uint256 amount;
    }

    /// @dev `deadline` is the last second at which the request is accepted.
    struct RefundRequest {
        bytes32 transferId;
        uint256 amount;
        bytes32 reason;
        uint256 deadline;
        bytes signature;
    }

    /// @notice Which destinations there are. Fixed at deployment.
    IBridgeRegistry public registry;

    /// @notice Checks every outbound transfer. Fixed at deployment.
    IComplianceGuard public guard;

    /// @notice Seconds after which an unsettled transfer can be refunded.
    uint256 public settlementTimeout;

    /// @notice Outbound transfers so far.
    uint256 public transferCount;

    /// @notice Outbound transfers by id; all zero for an unknown one.
    mapping(bytes32 transferId => Transfer) public transfers;

    /// @notice Base units locked for transfers that are neither settled nor refunded.
    mapping(address token => uint256) public lockedAmount;

    /// @notice Whether an inbound transfer of a chain was paid.
    mapping(uint256 sourceChainId => mapping(bytes32 transferId => bool)) public isReleased;

    /// @notice An outbound transfer was initiated: its amount is locked.
    event TransferInitiated(
        bytes32 indexed transferId,
        address indexed token,
        address indexed sender,
        address recipient,
        uint256 destinationChainId,
        uint256 amount
    );

    /// @notice An outbound transfer's status changed.
    event TransferStatusUpdated(
        bytes32 indexed transferId, TransferStatus indexed oldStatus, TransferStatus indexed newStatus
    );

    /// @notice An inbound transfer was paid.
    event TransferReleased(
        bytes32 indexed transferId,
        address indexed token,
        address indexed recipient,
        uint256 sourceChainId,
        uint256 amount
    );

    /// @notice A reserve was verified: at settlement the token's verified reserve (0 while its quorum is not met)
    /// against its supply, at a release the bridge's reserve against the amount.
    event ReserveVerified(
        bytes32 indexed transferId, address indexed token, bool indexed sufficient, uint256 reserve, uint256 required
    );

    /// @notice The relayer gave the reason why a transfer failed.
    event TransferFailed(bytes32 indexed transferId, bytes32 reason);

    /// @notice The compliance guard refused an outbound transfer; nothing was locked.
    event TransferRefused(
        address indexed token, address indexed sender, IComplianceGuard.Reason indexed reason, uint256 amount
    );

    /// @notice The HSM's key signed for a refund.
    event RefundInitiated(bytes32 indexed transferId, address indexed hsmSigner, bytes32 reason, uint256 amount);

    /// @notice A refund was paid to the sender.
    event RefundExecuted(bytes32 indexed transferId, address indexed token, address indexed sender, uint256 amount);

    /// @notice The settlement timeout was set, in seconds.
    event SettlementTimeoutSet(uint256 settlementTimeout);

    /// @notice An amount of nothing.
    error ZeroAmount();

    /// @notice The registry has no open route to this chain.
    error RouteClosed(uint256 chainId);

    /// @notice The transfer is in another status than this step needs.
    error WrongStatus(bytes32 transferId, TransferStatus status);

    /// @notice The inbound transfer was paid already.
    error AlreadyReleased(uint256 sourceChainId, bytes32 transferId);

    /// @notice The transfer did not fail and its timeout has not passed.
    error NotRefundable(bytes32 transferId, uint256 refundableAt);

    /// @notice The signed amount is not the transfer's.
    error WrongAmount(bytes32 transferId, uint256 amount, uint256 requested);

    /// @notice The signed request is past its deadline.
    error RequestExpired(uint256 deadline);

    /// @notice Not signed by this signer, or it does not hold HSM_SIGNER_ROLE.
    error InvalidSigner(address hsmSigner, address recovered);

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants roles, sets the timeout, ends a pause.
    /// @param registry_ Knows the destinations.
    /// @param guard_ The compliance guard, which grants this contract CHECKER_ROLE.
    /// @param settlementTimeout_ Seconds after which an unsettled transfer can be refunded.
    constructor(address admin, IBridgeRegistry registry_, IComplianceGuard guard_, uint256 settlementTimeout_) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        registry = registry_;
        guard = guard_;
        _setSettlementTimeout(settlementTimeout_);
    }

    // -- outbound ----------------------------------------------------------------------------------------------------

    /// @notice Lock `amount` base units of `token` for `recipient` on another chain. The caller approved the vault.
    /// @dev Refused by reverting: a pause (EnforcedPause), ZeroAmount, RouteClosed, and what the token refuses.
    /// @return transferId Zero if the compliance guard refused, see the event TransferRefused.
    function initiateTransfer(IWToken token, uint256 amount, uint256 destinationChainId, address recipient)
        external
        nonReentrant
        whenNotPaused
        returns (bytes32 transferId)
    {
        if (amount == 0) revert ZeroAmount();
        if (!registry.isRouteOpen(destinationChainId)) revert RouteClosed(destinationChainId);
        IComplianceGuard.Reason reason =
            guard.check(IComplianceGuard.Operation.Bridge, address(token), msg.sender, amount);
        if (reason != IComplianceGuard.Reason.None) {
            emit TransferRefused(address(token), msg.sender, reason, amount);
            return 0;
        }
        transferId = transferIdAt(transferCount++);
        transfers[transferId] = Transfer({
            status: TransferStatus.None,
            initiatedAt: uint64(block.timestamp),
            token: address(token),
            sender: msg.sender,
            recipient: recipient,
            destinationChainId: destinationChainId,
            amount: amount
        });
        lockedAmount[address(token)] += amount;
        emit TransferInitiated(transferId, address(token), msg.sender, recipient, destinationChainId, amount);
        _setStatus(transferId, TransferStatus.Initiated);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice The transfer arrived on the other chain: what it locked becomes the bridge's reserve, if the token's own
    /// reserve covers its supply. Otherwise the transfer fails, and the relayer has to undo the other side.
    /// @dev Refused by reverting: callers without RELAYER_ROLE (AccessControlUnauthorizedAccount), WrongStatus.
    /// @return settled False if the token's reserve does not suffice, see the event ReserveVerified.
    function settleTransfer(bytes32 transferId) external onlyRole(RELAYER_ROLE) returns (bool settled) {
        _require(transferId, TransferStatus.Initiated);
        Transfer storage transfer = transfers[transferId];
        IWToken token = IWToken(transfer.token);
        uint256 supply = token.totalSupply();
        try token.verifiedReserve() returns (uint256 reserve) {
            settled = reserve >= supply;
            emit ReserveVerified(transferId, address(token), settled, reserve, supply);
        } catch {
            emit ReserveVerified(transferId, address(token), false, 0, supply);
        }
        if (settled) lockedAmount[address(token)] -= transfer.amount;
        _setStatus(transferId, settled ? TransferStatus.Settled : TransferStatus.Failed);
    }

    /// @notice The transfer failed on the other chain; it can be refunded.
    /// @dev Refused: callers without RELAYER_ROLE (AccessControlUnauthorizedAccount), WrongStatus.
    /// @param reason ASCII text, padded on the right with zeros.
    function failTransfer(bytes32 transferId, bytes32 reason) external onlyRole(RELAYER_ROLE) {
        _require(transferId, TransferStatus.Initiated);
        emit TransferFailed(transferId, reason);
        _setStatus(transferId, TransferStatus.Failed);
    }

    // -- inbound -----------------------------------------------------------------------------------------------------

    /// @notice Pay an inbound transfer from the bridge's reserve, once.
    /// @dev Refused by reverting: callers without RELAYER_ROLE (AccessControlUnauthorizedAccount), a pause
    /// (EnforcedPause), ZeroAmount, AlreadyReleased.
    /// @return released False if the bridge's reserve does not suffice, see the event ReserveVerified; try again later.
    function releaseTransfer(
        bytes32 transferId,
        uint256 sourceChainId,
        IERC20 token,
        address recipient,
        uint256 amount
    ) external nonReentrant whenNotPaused onlyRole(RELAYER_ROLE) returns (bool released) {
        if (amount == 0) revert ZeroAmount();
        if (isReleased[sourceChainId][transferId]) revert AlreadyReleased(sourceChainId, transferId);
        uint256 reserve = bridgeReserve(address(token));
        released = reserve >= amount;
        emit ReserveVerified(transferId, address(token), released, reserve, amount);
        if (!released) return false;
        isReleased[sourceChainId][transferId] = true;
        emit TransferReleased(transferId, address(token), recipient, sourceChainId, amount);
        token.safeTransfer(recipient, amount);
    }

    // -- refunds -----------------------------------------------------------------------------------------------------

    /// @notice Start the refund of a transfer that failed or timed out. Anyone may bring the HSM's signature.
    /// @dev Refused: RequestExpired, WrongStatus, NotRefundable, WrongAmount, InvalidSigner, a malformed or high-s
    /// signature (ECDSA's errors). A signature is good for one transfer of this vault on this chain, once: its transfer
    /// does not come back into a status that it could be used in again.
    function initiateRefund(RefundRequest calldata refundRequest, address hsmSigner) external {
        bytes32 transferId = refundRequest.transferId;
        Transfer storage transfer = transfers[transferId];
        if (block.timestamp > refundRequest.deadline) revert RequestExpired(refundRequest.deadline);
        if (transfer.status != TransferStatus.Failed) {
            _require(transferId, TransferStatus.Initiated);
            uint256 refundableAt = transfer.initiatedAt + settlementTimeout;
            if (block.timestamp < refundableAt) revert NotRefundable(transferId, refundableAt);
        }
        if (refundRequest.amount != transfer.amount) {
            revert WrongAmount(transferId, transfer.amount, refundRequest.amount);
        }
        address recovered = ECDSA.recover(refundDigest(refundRequest), refundRequest.signature);
        if (recovered != hsmSigner || !hasRole(HSM_SIGNER_ROLE, hsmSigner)) revert InvalidSigner(hsmSigner, recovered);
        emit RefundInitiated(transferId, hsmSigner, refundRequest.reason, transfer.amount);
        _setStatus(transferId, TransferStatus.RefundInitiated);
    }

    /// @notice Pay a refund that was initiated to the transfer's sender. Anyone may.
    /// @dev Refused: WrongStatus, and what the token refuses.
    function executeRefund(bytes32 transferId) external nonReentrant {
        _require(transferId, TransferStatus.RefundInitiated);
        Transfer storage transfer = transfers[transferId];
        lockedAmount[transfer.token] -= transfer.amount;
        emit RefundExecuted(transferId, transfer.token, transfer.sender, transfer.amount);
        _setStatus(transferId, TransferStatus.Refunded);
        IERC20(transfer.token).safeTransfer(transfer.sender, transfer.amount);
    }

    // -- reads -------------------------------------------------------------------------------------------------------

    /// @notice Base units of `token` that inbound transfers can be paid from: none if the vault holds less than it owes.
    function bridgeReserve(address token) public view returns (uint256) {
        uint256 balance = IERC20(token).balanceOf(address(this));
        uint256 locked = lockedAmount[token];
        return balance < locked ? 0 : balance - locked;
    }

    /// @notice The id of the outbound transfer number `index`, from 0, whether it exists already or not.
    function transferIdAt(uint256 index) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), index));
    }

    /// @notice The digest that the HSM signs for a request (EIP-712). The signature in it does not matter.
    function refundDigest(RefundRequest calldata refundRequest) public view returns (bytes32) {
        bytes32 content = keccak256(
            abi.encode(
                REFUND_TYPEHASH,
                refundRequest.transferId,
                refundRequest.amount,
                refundRequest.reason,
                refundRequest.deadline
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), content));
    }

    /// @notice The EIP-712 domain: name `BridgeEscrowVault`, version `1`, this chain, this contract.
    /// @dev Computed each time, so that nothing in the deployed code depends on where it stands.
    function domainSeparator() public view returns (bytes32) {
        bytes32 name = keccak256("BridgeEscrowVault");
        return keccak256(abi.encode(_DOMAIN_TYPEHASH, name, keccak256("1"), block.chainid, address(this)));
    }

    // -- settings ----------------------------------------------------------------------------------------------------

    /// @notice Stop new transfers and releases. Settlement and refunds go on.
    /// @dev Refused: callers without PAUSER_ROLE (AccessControlUnauthorizedAccount), a second pause (EnforcedPause).
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Resume.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), no pause (ExpectedPause).
    function unpause() external onlyRole(DEFAULT_ADMIN_ROLE) {
        _unpause();
    }

    /// @notice Set the seconds after which an unsettled transfer can be refunded, pending ones included.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount).
    function setSettlementTimeout(uint256 settlementTimeout_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setSettlementTimeout(settlementTimeout_);
    }

    // -- private -----------------------------------------------------------------------------------------------------

    function _require(bytes32 transferId, TransferStatus status) private view {
        TransferStatus found = transfers[transferId].status;
        if (found != status) revert WrongStatus(transferId, found);
    }

    function _setStatus(bytes32 transferId, TransferStatus status) private {
        emit TransferStatusUpdated(transferId, transfers[transferId].status, status);
        transfers[transferId].status = status;
    }

    function _setSettlementTimeout(uint256 settlementTimeout_) private {
        settlementTimeout = settlementTimeout_;
        emit SettlementTimeoutSet(settlementTimeout_);
    }
}
