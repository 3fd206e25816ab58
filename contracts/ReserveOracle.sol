// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {AccessControlEnumerable} from "@openzeppelin/contracts/access/extensions/AccessControlEnumerable.sol";
import {IReserveOracle} from "./IReserveOracle.sol";

/// @title Reserves of fiat-backed tokens, as several reporters state them.
/// @notice Each reporter has one report per token. A report *stands* while it was not removed, is at most
/// `consensusValidity` seconds old, and its reporter holds REPORTER_ROLE. With `requiredQuorum` standing reports the
/// verified reserve is their lower median; with fewer there is none, and asking for it reverts.
/// @dev A reporter that loses the role no longer counts, at once. One that is granted it again counts with its old
/// report, if that is still valid: grant a fresh key instead when a key was lost.
contract ReserveOracle is IReserveOracle, AccessControlEnumerable {
    /// @notice Who may submit reports.
    bytes32 public constant REPORTER_ROLE = keccak256("REPORTER_ROLE");

    /// @notice Most reporters at a time: it bounds the work of every read and of every mint.
    uint256 public constant MAX_REPORTERS = 32;

    /// @dev Two slots. The second, read as one integer, equals the timestamp exactly while the report was not removed
    /// (`removed` is the byte above it), so that a storage proof of the two slots says all.
    struct Report {
        uint256 reserve;
        uint64 timestamp;
        bool removed;
    }

    /// @dev The report of `_reports[token][reporter]` begins at
    /// keccak256(reporter . keccak256(token . slot of _reports)), both addresses left-padded to 32 bytes.
    mapping(address token => mapping(address reporter => Report)) private _reports;

    /// @notice How many standing reports make a consensus.
    uint256 public requiredQuorum;

    /// @notice Oldest report accepted at submission, in seconds: a report of exactly this age is accepted.
    uint256 public maxReportAge;

    /// @notice How long a report stays in the consensus, in seconds since its timestamp: at exactly this age it counts.
    uint256 public consensusValidity;

    /// @notice A report was accepted; it replaces the reporter's previous one for this token.
    event ReserveReported(address indexed token, address indexed reporter, uint256 reserveBalance, uint256 timestamp);

    /// @notice A report too old for the consensus was removed.
    event StaleReportRemoved(address indexed token, address indexed reporter, uint256 timestamp);

    /// @notice The required quorum was set.
    event RequiredQuorumSet(uint256 requiredQuorum);

    /// @notice The two ages were set, in seconds.
    event AgesSet(uint256 maxReportAge, uint256 consensusValidity);

    /// @notice The report is older than `maxReportAge`.
    error ReportStale(uint256 timestamp, uint256 oldestAccepted);

    /// @notice The report's timestamp is later than the block's.
    error ReportFromFuture(uint256 timestamp, uint256 blockTimestamp);

    /// @notice The reporter already reported for this token at this or a later time.
    error TimestampNotIncreasing(uint256 timestamp, uint256 previous);

    /// @notice Fewer reports stand than the quorum requires.
    error QuorumNotMet(address token, uint256 standing, uint256 required);

    /// @notice A quorum of none, or of more than there can be reporters.
    error InvalidQuorum(uint256 requiredQuorum);

    /// @notice A report could be accepted that would never count.
    error InvalidAges(uint256 maxReportAge, uint256 consensusValidity);

    /// @notice There are MAX_REPORTERS reporters already.
    error TooManyReporters();

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants and revokes roles, sets quorum and ages.
    /// @param requiredQuorum_ Standing reports that make a consensus, 1 to MAX_REPORTERS.
    /// @param maxReportAge_ Oldest report accepted at submission, in seconds.
    /// @param consensusValidity_ How long a report counts, in seconds; not less than `maxReportAge_`.
    constructor(address admin, uint256 requiredQuorum_, uint256 maxReportAge_, uint256 consensusValidity_) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _setRequiredQuorum(requiredQuorum_);
        _setAges(maxReportAge_, consensusValidity_);
    }

    /// @notice State the reserve of `token`, in its base units, as of `timestamp` (Unix seconds).
    /// @dev Refused: callers without REPORTER_ROLE (AccessControlUnauthorizedAccount), a timestamp after the block's
    /// (ReportFromFuture), older than `maxReportAge` (ReportStale), or not after the reporter's last one for this token,
    /// removed or not (TimestampNotIncreasing).
    function submitReserveReport(address token, uint256 reserveBalance, uint256 timestamp)
        external
        onlyRole(REPORTER_ROLE)
    {
        if (timestamp > block.timestamp) revert ReportFromFuture(timestamp, block.timestamp);
        if (block.timestamp - timestamp > maxReportAge) revert ReportStale(timestamp, block.timestamp - maxReportAge);
        uint256 previous = _reports[token][msg.sender].timestamp;
        if (timestamp <= previous) revert TimestampNotIncreasing(timestamp, previous);
        // A block's timestamp has fitted 64 bits since the beginning, and will for the next 500 billion years.
        _reports[token][msg.sender] = Report({reserve: reserveBalance, timestamp: uint64(timestamp), removed: false});
        emit ReserveReported(token, msg.sender, reserveBalance, timestamp);
    }

    /// @notice Remove the reports for `token` that are too old for the consensus.
    /// @dev Anyone may call it: it takes nothing away that counts. Timestamps are remembered, so nothing old can be
    /// submitted again. Does nothing when no report is too old.
    /// @return removed How many reports were removed.
    function removeStaleReports(address token) external returns (uint256 removed) {
        uint256 count = getRoleMemberCount(REPORTER_ROLE);
        for (uint256 i = 0; i < count; ++i) {
            address reporter = getRoleMember(REPORTER_ROLE, i);
            Report storage report = _reports[token][reporter];
            if (report.timestamp == 0 || report.removed || _isFresh(report)) continue;
            report.reserve = 0;
            report.removed = true;
            ++removed;
            emit StaleReportRemoved(token, reporter, report.timestamp);
        }
    }

    /// @notice Set how many standing reports make a consensus, 1 to MAX_REPORTERS.
    function setRequiredQuorum(uint256 requiredQuorum_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setRequiredQuorum(requiredQuorum_);
    }

    /// @notice Set the age limit at submission and the time for which a report counts, in seconds.
    function setAges(uint256 maxReportAge_, uint256 consensusValidity_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setAges(maxReportAge_, consensusValidity_);
    }

    /// @inheritdoc IReserveOracle
    /// @dev The lower median of the standing reports: of an even number, the lower of the two in the middle. Reverts with
    /// QuorumNotMet.
    function getVerifiedReserve(address token) external view returns (uint256) {
        (uint256[] memory reserves, uint256 standing) = _standing(token);
        if (standing < requiredQuorum) revert QuorumNotMet(token, standing, requiredQuorum);
        return reserves[(standing - 1) / 2];
    }

    /// @inheritdoc IReserveOracle
    function isQuorumMet(address token) external view returns (bool) {
        (, uint256 standing) = _standing(token);
        return standing >= requiredQuorum;
    }

    /// @notice The last report of `reporter` for `token`, whether it stands or not.
    /// @return reserve The reserve in base units of the token; 0 if there is no report or it was removed.
    /// @return timestamp Its time in Unix seconds; 0 if there is no report or it was removed.
    function reportOf(address token, address reporter) external view returns (uint256 reserve, uint256 timestamp) {
        Report storage report = _reports[token][reporter];
        return report.removed ? (0, 0) : (report.reserve, report.timestamp);
    }

    /// @notice Whether the report of `reporter` for `token` counts now.
    function isStanding(address token, address reporter) external view returns (bool) {
        return hasRole(REPORTER_ROLE, reporter) && _isValid(_reports[token][reporter]);
    }

    /// @notice All current reporters, in no particular order; at most MAX_REPORTERS.
    function reporters() external view returns (address[] memory) {
        return getRoleMembers(REPORTER_ROLE);
    }

    /// @dev Grants as AccessControlEnumerable does, and keeps the number of reporters within MAX_REPORTERS.
    function _grantRole(bytes32 role, address account) internal override returns (bool granted) {
        granted = super._grantRole(role, account);
        if (role == REPORTER_ROLE && getRoleMemberCount(role) > MAX_REPORTERS) revert TooManyReporters();
    }

    function _setRequiredQuorum(uint256 requiredQuorum_) private {
        if (requiredQuorum_ == 0 || requiredQuorum_ > MAX_REPORTERS) revert InvalidQuorum(requiredQuorum_);
        requiredQuorum = requiredQuorum_;
        emit RequiredQuorumSet(requiredQuorum_);
    }

    function _setAges(uint256 maxReportAge_, uint256 consensusValidity_) private {
        if (maxReportAge_ > consensusValidity_) revert InvalidAges(maxReportAge_, consensusValidity_);
        maxReportAge = maxReportAge_;
        consensusValidity = consensusValidity_;
        emit AgesSet(maxReportAge_, consensusValidity_);
    }

    /// @dev The reserves of the standing reports in ascending order, in the first `count` places.
    function _standing(address token) private view returns (uint256[] memory reserves, uint256 count) {
        uint256 total = getRoleMemberCount(REPORTER_ROLE);
        reserves = new uint256[](total);
        for (uint256 i = 0; i < total; ++i) {
            Report storage report = _reports[token][getRoleMember(REPORTER_ROLE, i)];
            if (!_isValid(report)) continue;
            uint256 reserve = report.reserve;
            uint256 place = count++;
            // Insertion: at most MAX_REPORTERS, usually three.
            for (; place > 0 && reserves[place - 1] > reserve; --place) {
                reserves[place] = reserves[place - 1];
            }
            reserves[place] = reserve;
        }
    }

    function _isValid(Report storage report) private view returns (bool) {
        return report.timestamp != 0 && !report.removed && _isFresh(report);
    }

    function _isFresh(Report storage report) private view returns (bool) {
        return block.timestamp - report.timestamp <= consensusValidity;
    }
}
