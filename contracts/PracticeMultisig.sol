// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title A multi-signature wallet to practise on, with the names of a Safe's functions and events.
/// @notice Owners approve a transaction by its hash; with as many approvals as the threshold anyone may execute it.
/// Owners and threshold are changed by such a transaction to the wallet itself. For development networks only.
contract PracticeMultisig {
    /// @notice Executed transactions so far: part of the next one's hash.
    uint256 public nonce;

    /// @notice Which owner approved which hash.
    mapping(address owner => mapping(bytes32 approvedHash => bool)) public approvedHashes;

    address[] private _owners;
    uint256 private _threshold;

    /// @notice An owner was added.
    event AddedOwner(address indexed owner);

    /// @notice So many approvals are needed from now on.
    event ChangedThreshold(uint256 threshold);

    /// @notice An owner approved a transaction.
    event ApproveHash(bytes32 indexed approvedHash, address indexed owner);

    /// @notice A transaction was executed.
    event ExecutionSuccess(bytes32 indexed transactionHash);

    /// @notice Only an owner approves.
    error NotOwner(address account);

    /// @notice Only the wallet itself, by a transaction that was approved.
    error NotAuthorized(address account);

    /// @notice The zero address, or an owner already.
    error InvalidOwner(address owner);

    /// @notice None, or more than there are owners.
    error InvalidThreshold(uint256 threshold, uint256 owners);

    /// @notice Fewer owners approved than the threshold.
    error ApprovalsMissing(bytes32 transactionHash, uint256 approvals, uint256 threshold);

    /// @notice What was executed reverted.
    error ExecutionFailed(bytes32 transactionHash);

    modifier authorized() {
        if (msg.sender != address(this)) revert NotAuthorized(msg.sender);
        _;
    }

    /// @param owners Who may approve.
    /// @param threshold How many of them have to.
    constructor(address[] memory owners, uint256 threshold) {
        for (uint256 i = 0; i < owners.length; ++i) {
            _addOwner(owners[i]);
        }
        _changeThreshold(threshold);
    }

    /// @notice All owners, in the order in which they were added.
    function getOwners() external view returns (address[] memory) {
        return _owners;
    }

    /// @notice How many owners have to approve a transaction.
    function getThreshold() external view returns (uint256) {
        return _threshold;
    }

    /// @notice Whether the account is an owner.
    function isOwner(address account) public view returns (bool) {
        for (uint256 i = 0; i < _owners.length; ++i) {
            if (_owners[i] == account) return true;
        }
        return false;
    }

    /// @notice The hash under which the next transaction is approved, if it is this one.
    function getTransactionHash(address to, bytes calldata data) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), nonce, to, data));
    }

    /// @notice Approve the transaction of this hash.
    /// @dev Refused: NotOwner.
    function approveHash(bytes32 hashToApprove) external {
        if (!isOwner(msg.sender)) revert NotOwner(msg.sender);
        approvedHashes[msg.sender][hashToApprove] = true;
        emit ApproveHash(hashToApprove, msg.sender);
    }

    /// @notice Execute a transaction that enough owners approved.
    /// @dev Refused: ApprovalsMissing, ExecutionFailed.
    function execTransaction(address to, bytes calldata data) external {
        bytes32 transactionHash = getTransactionHash(to, data);
        uint256 approvals;
        for (uint256 i = 0; i < _owners.length; ++i) {
            if (approvedHashes[_owners[i]][transactionHash]) ++approvals;
        }
        if (approvals < _threshold) revert ApprovalsMissing(transactionHash, approvals, _threshold);
        ++nonce;
        (bool success,) = to.call(data);
        if (!success) revert ExecutionFailed(transactionHash);
        emit ExecutionSuccess(transactionHash);
    }

    /// @notice Add an owner, and set the threshold.
    /// @dev Refused: NotAuthorized, InvalidOwner, InvalidThreshold.
    function addOwnerWithThreshold(address owner, uint256 threshold) external authorized {
        _addOwner(owner);
        _changeThreshold(threshold);
    }

    /// @notice Set the threshold.
    /// @dev Refused: NotAuthorized, InvalidThreshold.
    function changeThreshold(uint256 threshold) external authorized {
        _changeThreshold(threshold);
    }

    function _addOwner(address owner) private {
        if (owner == address(0) || isOwner(owner)) revert InvalidOwner(owner);
        _owners.push(owner);
        emit AddedOwner(owner);
    }

    function _changeThreshold(uint256 threshold) private {
        if (threshold == 0 || threshold > _owners.length) revert InvalidThreshold(threshold, _owners.length);
        _threshold = threshold;
        emit ChangedThreshold(threshold);
    }
}
