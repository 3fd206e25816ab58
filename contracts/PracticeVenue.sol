// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ITradeVenue} from "./ITradeVenue.sol";
import {IXAUOracle} from "./IXAUOracle.sol";

/// @title A venue to practise on: it trades a one-ounce gold token against a currency at the oracle's last price, from
/// what it holds, and keeps a fee. For development networks only.
contract PracticeVenue is ITradeVenue {
    using SafeERC20 for IERC20;

    IXAUOracle public oracle;
    IERC20Metadata public gold;
    IERC20Metadata public currency;

    /// @notice What it keeps of what it would give: 1e18 is all of it.
    uint256 public fee;

    /// @notice It trades its two tokens only.
    error UnknownPair(address tokenIn, address tokenOut);

    /// @param oracle_ The price of gold in `currency_`.
    /// @param gold_ A gold token, one fine ounce each.
    /// @param currency_ The currency's token.
    /// @param fee_ What it keeps, up to 1e18.
    constructor(IXAUOracle oracle_, IERC20Metadata gold_, IERC20Metadata currency_, uint256 fee_) {
        oracle = oracle_;
        gold = gold_;
        currency = currency_;
        fee = fee_;
    }

    /// @inheritdoc ITradeVenue
    /// @dev Refused: UnknownPair, what the price oracle's missing price divides by, and what the tokens refuse.
    function swap(address tokenIn, address tokenOut, uint256 amountIn) external returns (uint256 amountOut) {
        uint256 price = oracle.lastPrice();
        uint256 goldUnit = 10 ** gold.decimals() * 1e18;
        uint256 currencyUnit = 10 ** currency.decimals();
        if (tokenIn == address(gold) && tokenOut == address(currency)) {
            amountOut = Math.mulDiv(amountIn, price * currencyUnit, goldUnit);
        } else if (tokenIn == address(currency) && tokenOut == address(gold)) {
            amountOut = Math.mulDiv(amountIn, goldUnit, price * currencyUnit);
        } else {
            revert UnknownPair(tokenIn, tokenOut);
        }
        amountOut = Math.mulDiv(amountOut, 1e18 - fee, 1e18);
        IERC20(tokenIn).safeTransferFrom(msg.sender, address(this), amountIn);
        IERC20(tokenOut).safeTransfer(msg.sender, amountOut);
    }
}
