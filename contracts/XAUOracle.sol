// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IXAUOracle} from "./IXAUOracle.sol";

/// @title The price of gold in one currency, with an average over time and a brake.
/// @notice `price()` is for contracts that move value: it reverts while the oracle is frozen or stale. `lastPrice()`,
/// `updatedAt()`, `isFrozen()` and `isStale()` always answer, so that the watch sees what is wrong.
/// @dev The average weighs each price by the seconds it stood. A price that is replaced within its own block weighs
/// nothing: what a flash loan does in one block does not move it.
contract XAUOracle is IXAUOracle, AccessControl {
    /// @notice Who may submit prices, also while the oracle is frozen: it has to be mended before it is unfrozen.
    bytes32 public constant FEED_ROLE = keccak256("FEED_ROLE");

    /// @notice Who may freeze. Only the admin unfreezes.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");

    /// @notice Prices kept for the average: a window with more of them is averaged over the newest.
    uint256 public constant MAX_OBSERVATIONS = 64;

    /// @dev One slot.
    struct Observation {
        uint192 price;
        uint64 timestamp;
    }

    /// @dev A ring: observation number n stands at n modulo MAX_OBSERVATIONS.
    Observation[MAX_OBSERVATIONS] private _observations;

    /// @notice How many observations were made; prices of one block are one.
    uint256 public observationCount;

    /// @notice Whether the guardian stopped it.
    bool public isFrozen;

    /// @notice Oldest usable price, in seconds: at exactly this age it is usable.
    uint256 public maxAge;

    /// @notice Over how many seconds the average is taken.
    uint256 public twapWindow;

    /// @notice A price was submitted.
    event PriceUpdated(uint256 price, uint256 updatedAt);

    /// @notice Frozen by this guardian.
    event Frozen(address indexed account);

    /// @notice Unfrozen by this admin.
    event Unfrozen(address indexed account);

    /// @notice The oldest usable age and the average's window were set, in seconds.
    event WindowsSet(uint256 maxAge, uint256 twapWindow);

    /// @notice No use of the price while it is frozen.
    error OracleFrozen();

    /// @notice The last price is older than `maxAge`.
    error PriceStale(uint256 updatedAt, uint256 maxAge);

    /// @notice No price was ever submitted.
    error NoPrice();

    /// @notice A price of nothing, or one that 192 bits do not hold.
    error InvalidPrice(uint256 price);

    /// @notice A window of no seconds.
    error InvalidWindow();

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants roles, unfreezes, sets the windows.
    /// @param maxAge_ Oldest usable price, in seconds.
    /// @param twapWindow_ Seconds of the average, at least one.
    constructor(address admin, uint256 maxAge_, uint256 twapWindow_) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _setWindows(maxAge_, twapWindow_);
    }

    /// @notice State the price of one ounce, with 18 decimals, as of this block.
    /// @dev Refused: callers without FEED_ROLE (AccessControlUnauthorizedAccount), InvalidPrice.
    function submitPrice(uint256 price_) external onlyRole(FEED_ROLE) {
        if (price_ == 0 || price_ > type(uint192).max) revert InvalidPrice(price_);
        if (observationCount == 0 || updatedAt() != block.timestamp) ++observationCount;
        _observations[(observationCount - 1) % MAX_OBSERVATIONS] =
            Observation({price: uint192(price_), timestamp: uint64(block.timestamp)});
        emit PriceUpdated(price_, block.timestamp);
    }

    /// @notice Stop every use of the price. Does nothing when it is frozen already.
    /// @dev Refused: callers without GUARDIAN_ROLE (AccessControlUnauthorizedAccount).
    function freeze() external onlyRole(GUARDIAN_ROLE) {
        if (isFrozen) return;
        isFrozen = true;
        emit Frozen(msg.sender);
    }

    /// @notice Allow use of the price again. Does nothing when it is not frozen.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount).
    function unfreeze() external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (!isFrozen) return;
        isFrozen = false;
        emit Unfrozen(msg.sender);
    }

    /// @notice Set the oldest usable age and the average's window, in seconds.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), InvalidWindow.
    function setWindows(uint256 maxAge_, uint256 twapWindow_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setWindows(maxAge_, twapWindow_);
    }

    /// @inheritdoc IXAUOracle
    /// @dev Reverts with OracleFrozen, NoPrice or PriceStale.
    function price() external view returns (uint256) {
        if (isFrozen) revert OracleFrozen();
        if (observationCount == 0) revert NoPrice();
        if (isStale()) revert PriceStale(updatedAt(), maxAge);
        return _observation(0).price;
    }

    /// @inheritdoc IXAUOracle
    function lastPrice() external view returns (uint256) {
        return observationCount == 0 ? 0 : _observation(0).price;
    }

    /// @inheritdoc IXAUOracle
    function twapDeviation() external view returns (uint256) {
        uint256 average = twap();
        uint256 last = _observation(0).price;
        return (last > average ? last - average : average - last) * 1e18 / average;
    }

    /// @notice When the last price was submitted, in Unix seconds; 0 if there was none.
    function updatedAt() public view returns (uint256) {
        return observationCount == 0 ? 0 : _observation(0).timestamp;
    }

    /// @notice Whether the last price is older than `maxAge`, or there is none.
    function isStale() public view returns (bool) {
        return observationCount == 0 || block.timestamp - updatedAt() > maxAge;
    }

    /// @inheritdoc IXAUOracle
    /// @dev Over the window, or as far back as there are prices. Reverts with NoPrice.
    function twap() public view returns (uint256) {
        if (observationCount == 0) revert NoPrice();
        uint256 start = block.timestamp > twapWindow ? block.timestamp - twapWindow : 0;
        uint256 kept = observationCount < MAX_OBSERVATIONS ? observationCount : MAX_OBSERVATIONS;
        uint256 weighted;
        uint256 until = block.timestamp;
        for (uint256 i = 0; i < kept && until > start; ++i) {
            Observation memory observation = _observation(i);
            uint256 since = observation.timestamp > start ? observation.timestamp : start;
            weighted += observation.price * (until - since);
            until = since;
        }
        uint256 span = block.timestamp - until;
        return span == 0 ? _observation(0).price : weighted / span;
    }

    /// @dev The newest is number 0.
    function _observation(uint256 back) private view returns (Observation memory) {
        return _observations[(observationCount - 1 - back) % MAX_OBSERVATIONS];
    }

    function _setWindows(uint256 maxAge_, uint256 twapWindow_) private {
        if (twapWindow_ == 0) revert InvalidWindow();
        maxAge = maxAge_;
        twapWindow = twapWindow_;
        emit WindowsSet(maxAge_, twapWindow_);
    }
}
