// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ITradeVenue} from "./ITradeVenue.sol";
import {IXAUOracle} from "./IXAUOracle.sol";

/// @title Small trades of a one-ounce gold token against a currency, while the price is away from its average for long.
/// @notice While the deviation exceeds the threshold, the size of a trade is s = k x deviation. Gold is sold above the
/// average and bought below it. What a flash loan could use is closed: the deviation must last `requiredBlocks`
/// observed blocks, trades are `blockDelay` blocks apart, a block's volume has a cap, and a trade must yield the
/// average price less the slippage.
/// @dev A keeper calls `observe` in every block. Blocks in a row mean at most `maxObservationGap` from one to the next.
contract Stabilizer is AccessControl, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice Who observes and trades.
    bytes32 public constant KEEPER_ROLE = keccak256("KEEPER_ROLE");

    /// @dev Ratios are of 1e18; sizes are in base units of the currency.
    struct Settings {
        uint256 deviationThreshold;
        uint256 tradeFactor; // k: the size at a deviation of 100 %
        uint256 requiredBlocks;
        uint256 maxObservationGap;
        uint256 blockDelay;
        uint256 blockVolumeCap;
        uint256 maxSlippage;
        uint256 maxGasPrice;
    }

    /// @notice The settings, in the order of the struct.
    Settings public settings;

    /// @notice The price of gold in the currency. Fixed at deployment.
    IXAUOracle public oracle;

    /// @notice Where it trades. Fixed at deployment.
    ITradeVenue public venue;

    /// @notice The gold token, one ounce each, and the currency. Fixed at deployment.
    address public gold;
    address public currency;

    /// @dev Base units of whole tokens.
    uint256 private _goldUnit;
    uint256 private _currencyUnit;

    uint256 private _sustained;

    /// @notice The block of the last observation; 0 before the first.
    uint256 public lastObservedBlock;

    /// @notice The block of the last trade, 0 before the first, and the volume traded in it.
    uint256 public lastTradeBlock;
    uint256 public lastBlockVolume;

    /// @notice Trades so far.
    uint256 public tradeCount;

    /// @notice A block was observed: the deviation, and for how many blocks in a row it exceeds the threshold.
    event DeviationObserved(uint256 deviation, uint256 sustainedBlocks, uint256 requiredBlocks);

    /// @notice The deviation that exceeded the threshold is over, or was unobserved for too long: for how many observed
    /// blocks in a row it did.
    event DeviationEnded(uint256 sustainedBlocks);

    /// @notice A trade, its size in the currency, and the volume of its block so far.
    event StabilizationTrade(
        address indexed tokenIn,
        address indexed tokenOut,
        uint256 amountIn,
        uint256 amountOut,
        uint256 size,
        uint256 deviation,
        uint256 blockVolume
    );

    /// @notice The settings were changed.
    event SettingsSet(Settings settings);

    /// @notice Trades are refused whose gas price exceeds the limit.
    error GasPriceTooHigh(uint256 gasPrice, uint256 maximum);

    /// @notice The deviation has not lasted long enough.
    error NotSustained(uint256 sustainedBlocks, uint256 requiredBlocks);

    /// @notice The deviation does not exceed the threshold, or the trade would be of nothing.
    error NothingToDo(uint256 deviation);

    /// @notice The last trade is too near.
    error TooSoon(uint256 blockNumber, uint256 earliest);

    /// @notice The block's volume is at its cap.
    error BlockVolumeCapReached(uint256 volume, uint256 cap);

    /// @notice The venue gave less than the average price less the slippage.
    error SlippageExceeded(uint256 amountOut, uint256 minimum);

    /// @notice No blocks required, no gap allowed, or a slippage of more than everything.
    error InvalidSettings();

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants roles, sets the settings, withdraws.
    /// @param oracle_ The price of gold in `currency_`.
    /// @param venue_ Where it trades.
    /// @param gold_ A gold token, one fine ounce each.
    /// @param currency_ The currency's token.
    /// @param settings_ See the struct.
    constructor(
        address admin,
        IXAUOracle oracle_,
        ITradeVenue venue_,
        IERC20Metadata gold_,
        IERC20Metadata currency_,
        Settings memory settings_
    ) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        oracle = oracle_;
        venue = venue_;
        gold = address(gold_);
        currency = address(currency_);
        _goldUnit = 10 ** gold_.decimals();
        _currencyUnit = 10 ** currency_.decimals();
        _setSettings(settings_);
    }

    /// @notice Look at the deviation in this block. A second look in one block changes nothing.
    /// @dev Refused: callers without KEEPER_ROLE (AccessControlUnauthorizedAccount), no price (the oracle's NoPrice).
    function observe() external onlyRole(KEEPER_ROLE) {
        if (block.number == lastObservedBlock) return;
        uint256 deviation = oracle.twapDeviation();
        uint256 lasted = _sustained;
        _sustained = deviation > settings.deviationThreshold ? sustainedBlocks() + 1 : 0;
        lastObservedBlock = block.number;
        emit DeviationObserved(deviation, _sustained, settings.requiredBlocks);
        if (lasted > 0 && _sustained <= lasted) emit DeviationEnded(lasted);
    }

    /// @notice Trade once: of the size that `tradeSize` gives, or what the block's cap leaves of it.
    /// @dev Refused: callers without KEEPER_ROLE (AccessControlUnauthorizedAccount), GasPriceTooHigh, NotSustained,
    /// TooSoon, NothingToDo, BlockVolumeCapReached, SlippageExceeded, a price that the oracle refuses, more than the
    /// stabilizer holds (the token's ERC20InsufficientBalance), and what the venue refuses.
    function stabilize() external nonReentrant onlyRole(KEEPER_ROLE) returns (uint256 amountOut) {
        _requireAllowed();
        uint256 size = _claimVolume();
        (address tokenIn, uint256 amountIn, address tokenOut, uint256 expected) = _trade(size);
        uint256 deviation = oracle.twapDeviation();
        amountOut = _swap(tokenIn, tokenOut, amountIn);
        uint256 minimum = Math.mulDiv(expected, 1e18 - settings.maxSlippage, 1e18, Math.Rounding.Ceil);
        if (amountOut < minimum) revert SlippageExceeded(amountOut, minimum);
        emit StabilizationTrade(tokenIn, tokenOut, amountIn, amountOut, size, deviation, lastBlockVolume);
    }

    /// @notice Take out tokens.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), and what the token refuses.
    function withdraw(IERC20 token, address to, uint256 amount) external onlyRole(DEFAULT_ADMIN_ROLE) {
        token.safeTransfer(to, amount);
    }

    /// @notice Change the settings.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), InvalidSettings.
    function setSettings(Settings calldata settings_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setSettings(settings_);
    }

    /// @notice The size of a trade now, in base units of the currency: k x deviation, 0 up to the threshold.
    function tradeSize() public view returns (uint256) {
        uint256 deviation = oracle.twapDeviation();
        return deviation > settings.deviationThreshold ? Math.mulDiv(settings.tradeFactor, deviation, 1e18) : 0;
    }

    /// @notice For how many observed blocks in a row the deviation exceeds the threshold; 0 once too long unobserved.
    function sustainedBlocks() public view returns (uint256) {
        return block.number > lastObservedBlock + settings.maxObservationGap ? 0 : _sustained;
    }

    /// @notice For how many it must, before a trade.
    function requiredBlocks() external view returns (uint256) {
        return settings.requiredBlocks;
    }

    /// @notice Volume traded in this block so far, in base units of the currency.
    function blockVolume() public view returns (uint256) {
        return block.number == lastTradeBlock ? lastBlockVolume : 0;
    }

    /// @notice Most volume in one block, in base units of the currency.
    function blockVolumeCap() external view returns (uint256) {
        return settings.blockVolumeCap;
    }

    function _requireAllowed() private view {
        if (tx.gasprice > settings.maxGasPrice) revert GasPriceTooHigh(tx.gasprice, settings.maxGasPrice);
        uint256 sustained = sustainedBlocks();
        if (sustained < settings.requiredBlocks) revert NotSustained(sustained, settings.requiredBlocks);
        uint256 earliest = lastTradeBlock + settings.blockDelay;
        if (tradeCount > 0 && block.number < earliest) revert TooSoon(block.number, earliest);
    }

    /// @return size What is traded now, and counts in the block's volume from here on.
    function _claimVolume() private returns (uint256 size) {
        uint256 volume = blockVolume();
        if (volume >= settings.blockVolumeCap) revert BlockVolumeCapReached(volume, settings.blockVolumeCap);
        size = Math.min(tradeSize(), settings.blockVolumeCap - volume);
        lastTradeBlock = block.number;
        lastBlockVolume = volume + size;
        ++tradeCount;
    }

    /// @dev Both amounts at the average price: what is given, and what should come back.
    function _trade(uint256 size)
        private
        view
        returns (address tokenIn, uint256 amountIn, address tokenOut, uint256 amountOut)
    {
        uint256 average = oracle.twap();
        uint256 ounces = Math.mulDiv(size, _goldUnit * 1e18 / _currencyUnit, average);
        if (ounces == 0) revert NothingToDo(oracle.twapDeviation());
        return oracle.price() > average ? (gold, ounces, currency, size) : (currency, size, gold, ounces);
    }

    /// @dev What was received is measured: the venue's word is not taken for it.
    function _swap(address tokenIn, address tokenOut, uint256 amountIn) private returns (uint256) {
        uint256 before = IERC20(tokenOut).balanceOf(address(this));
        IERC20(tokenIn).forceApprove(address(venue), amountIn);
        venue.swap(tokenIn, tokenOut, amountIn);
        IERC20(tokenIn).forceApprove(address(venue), 0);
        return IERC20(tokenOut).balanceOf(address(this)) - before;
    }

    function _setSettings(Settings memory settings_) private {
        if (settings_.requiredBlocks == 0 || settings_.maxObservationGap == 0 || settings_.maxSlippage > 1e18) {
            revert InvalidSettings();
        }
        settings = settings_;
        emit SettingsSet(settings_);
    }
}
