// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @title The anchor of published reserve attestations: written once, never overwritten.
/// @notice An entry is found by its publisher, its period and its revision. A period is the ASCII text of an ISO week,
/// such as `2026-W47`, as bytes32, padded on the right with zeros: `bytes32("2026-W47")` in Solidity,
/// `b"2026-W47".ljust(32, b"\0")` in Python. Revisions of a period begin at 0 and have no gaps.
contract AttestationRegistry is AccessControl {
    /// @notice Who may publish. A publisher's entries stand after it lost the role.
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");

    /// @dev RFC 9162, 2.1.1: the root of a tree without leaves is SHA-256 of nothing.
    bytes32 private constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @dev Five whole slots, in this order. The statement digest (slot 2) of an entry that exists is never zero.
    struct Attestation {
        bytes32 root;
        uint256 size;
        bytes32 statementDigest;
        bytes32 logRoot;
        uint256 logSize;
    }

    /// @dev The entry of `_attestations[publisher][period][revision]` begins at keccak256(revision . keccak256(period .
    /// keccak256(publisher . slot of _attestations))), the publisher left-padded to 32 bytes.
    mapping(address publisher => mapping(bytes32 period => mapping(uint256 revision => Attestation))) private
        _attestations;

    mapping(address publisher => mapping(bytes32 period => uint256)) private _revisionCounts;

    /// @notice An attestation was published.
    event AttestationPublished(
        address indexed publisher,
        bytes32 indexed period,
        uint256 indexed revision,
        bytes32 root,
        uint256 size,
        bytes32 statementDigest,
        bytes32 logRoot,
        uint256 logSize
    );

    /// @notice This revision of the period exists already.
    error AlreadyPublished(bytes32 period, uint256 revision);

    /// @notice The revision before this one does not exist yet.
    error RevisionSkipped(bytes32 period, uint256 revision, uint256 expected);

    /// @notice A tree without leaves has one root only, SHA-256 of nothing, and no other tree has it.
    error InvalidRoot(bytes32 root, uint256 size);

    /// @notice An attestation without a statement.
    error MissingStatement();

    /// @notice Nothing was published under this publisher, period and revision.
    error NotPublished(address publisher, bytes32 period, uint256 revision);

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants and revokes PUBLISHER_ROLE.
    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Publish one revision of a period's attestation, under the caller's name and for ever.
    /// @dev Refused: callers without PUBLISHER_ROLE (AccessControlUnauthorizedAccount), AlreadyPublished,
    /// RevisionSkipped, InvalidRoot, MissingStatement.
    /// @param period ASCII text such as `2026-W47`, padded on the right with zeros.
    /// @param revision The number of revisions published before under this publisher and period.
    /// @param root Merkle root of the reserve leaves (RFC 9162); SHA-256 of nothing when there are none.
    /// @param size Number of reserve leaves; 0 when every token was withheld.
    /// @param statementDigest SHA-256 of the signed statement's payload.
    /// @param logRoot Root of the transparency log's checkpoint that holds the statement.
    /// @param logSize Size of that checkpoint.
    function publish(
        bytes32 period,
        uint256 revision,
        bytes32 root,
        uint256 size,
        bytes32 statementDigest,
        bytes32 logRoot,
        uint256 logSize
    ) external onlyRole(PUBLISHER_ROLE) {
        uint256 expected = _revisionCounts[msg.sender][period];
        if (revision < expected) revert AlreadyPublished(period, revision);
        if (revision > expected) revert RevisionSkipped(period, revision, expected);
        if ((size == 0) != (root == EMPTY_ROOT)) revert InvalidRoot(root, size);
        if (statementDigest == 0) revert MissingStatement();
        _revisionCounts[msg.sender][period] = revision + 1;
        _attestations[msg.sender][period][revision] = Attestation(root, size, statementDigest, logRoot, logSize);
        emit AttestationPublished(msg.sender, period, revision, root, size, statementDigest, logRoot, logSize);
    }

    /// @notice All fields of one entry, as `publish` was given them.
    /// @dev Reverts with NotPublished.
    function attestationOf(address publisher, bytes32 period, uint256 revision)
        external
        view
        returns (bytes32 root, uint256 size, bytes32 statementDigest, bytes32 logRoot, uint256 logSize)
    {
        Attestation storage entry = _entry(publisher, period, revision);
        return (entry.root, entry.size, entry.statementDigest, entry.logRoot, entry.logSize);
    }

    /// @notice How many revisions of a period a publisher has published: they are 0 to this number, less one.
    function revisionCount(address publisher, bytes32 period) external view returns (uint256) {
        return _revisionCounts[publisher][period];
    }

    /// @notice Whether a leaf is in the tree of an entry: RFC 9162, 2.1.3.2. Reverts with NotPublished.
    /// @dev It takes the hash and not the leaf: a leaf shows balance and salt to whoever serves the call.
    /// @param publisher Who published the entry.
    /// @param period The entry's period.
    /// @param revision The entry's revision.
    /// @param leafHash SHA-256(0x00 || leaf).
    /// @param index The leaf's place, from 0.
    /// @param path The audit path, from the leaf upwards. Its length is fixed by the tree's size and the index: a longer
    /// or shorter one is false.
    function verifyInclusion(
        address publisher,
        bytes32 period,
        uint256 revision,
        bytes32 leafHash,
        uint256 index,
        bytes32[] calldata path
    ) external view returns (bool) {
        Attestation storage entry = _entry(publisher, period, revision);
        uint256 size = entry.size;
        if (index >= size) return false;
        uint256 last = size - 1;
        bytes32 node = leafHash;
        for (uint256 i = 0; i < path.length; ++i) {
            if (last == 0) return false;
            if (index & 1 == 1 || index == last) {
                node = _parent(path[i], node);
                // The last node of a level without a sibling rises as it is, until it is somebody's right child.
                while (index & 1 == 0 && index != 0) {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                node = _parent(node, path[i]);
            }
            index >>= 1;
            last >>= 1;
        }
        return last == 0 && node == entry.root;
    }

    function _entry(address publisher, bytes32 period, uint256 revision)
        private
        view
        returns (Attestation storage entry)
    {
        if (revision >= _revisionCounts[publisher][period]) revert NotPublished(publisher, period, revision);
        return _attestations[publisher][period][revision];
    }

    /// @dev SHA-256(0x01 || left || right), by the precompile at address 2: some 530 gas for each sibling of a path.
    function _parent(bytes32 left, bytes32 right) private view returns (bytes32 node) {
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 1)
            mstore(add(input, 0x01), left)
            mstore(add(input, 0x21), right)
            if iszero(staticcall(gas(), 2, input, 0x41, 0x00, 0x20)) { revert(0, 0) }
            node := mload(0x00)
        }
    }
}
