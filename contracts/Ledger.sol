// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ILedger} from "./ILedger.sol";
import {IXAUOracle} from "./IXAUOracle.sol";

/// @title Vaults: collateral in gold tokens, debt in fiat-backed tokens.
/// @notice A vault is an account's own, and opens with its first deposit. The ledger lends tokens that it was given; it
/// mints none, so that a loan never moves a token's money multiplier.
/// @dev Everything is valued in fine ounces: an asset by the ounces in one whole token, a currency by its own XAU
/// oracle. Tokens that take a fee on transfer are not supported.
contract Ledger is ILedger, AccessControl, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice Who may seize: the liquidation contract.
    bytes32 public constant LIQUIDATOR_ROLE = keccak256("LIQUIDATOR_ROLE");

    /// @notice A vault may not draw or withdraw below this health: 120 %.
    uint256 public constant MINIMUM_HEALTH = 1.2e18;

    /// @notice Most assets, and most currencies: it bounds the work of every read.
    uint256 public constant MAX_LISTED = 8;

    struct Asset {
        uint256 ounces;
        uint256 unit;
    }

    struct Currency {
        IXAUOracle oracle;
        uint256 unit;
    }

    mapping(address asset => Asset) private _assets;
    mapping(address currency => Currency) private _currencies;
    address[] private _assetList;
    address[] private _currencyList;
    address[] private _vaultList;

    /// @notice Whether the account ever deposited collateral.
    mapping(address vault => bool) public isVault;

    /// @notice Base units of an asset in all vaults.
    mapping(address asset => uint256) public totalCollateral;

    /// @notice Base units of a currency that all vaults owe.
    mapping(address currency => uint256) public totalDebt;

    /// @notice Base units of a currency that all vaults may owe.
    mapping(address currency => uint256) public debtCeiling;

    /// @inheritdoc ILedger
    mapping(address vault => mapping(address asset => uint256)) public collateralOf;

    /// @inheritdoc ILedger
    mapping(address vault => mapping(address currency => uint256)) public debtOf;

    /// @notice An account deposited for the first time.
    event VaultOpened(address indexed vault);

    /// @notice Collateral came in.
    event CollateralDeposited(address indexed vault, address indexed asset, uint256 amount);

    /// @notice Collateral went back to the vault's account.
    event CollateralWithdrawn(address indexed vault, address indexed asset, uint256 amount);

    /// @notice Debt was drawn.
    event DebtDrawn(address indexed vault, address indexed currency, uint256 amount);

    /// @notice Debt was repaid by `payer`.
    event DebtRepaid(address indexed vault, address indexed currency, address indexed payer, uint256 amount);

    /// @notice Collateral was seized by a liquidation and given to `payer`.
    event CollateralSeized(address indexed vault, address indexed asset, address indexed payer, uint256 amount);

    /// @notice An asset counts as collateral, with this many ounces (18 decimals) in one whole token.
    event AssetSet(address indexed asset, uint256 ounces);

    /// @notice A currency can be drawn; its price of gold comes from this oracle.
    event CurrencySet(address indexed currency, address indexed oracle);

    /// @notice A debt ceiling was set, in base units of the currency.
    event DebtCeilingSet(address indexed currency, uint256 ceiling);

    /// @notice The address is no asset, or no currency, of this ledger.
    error NotListed(address token);

    /// @notice One token cannot be both collateral and lent out.
    error AlreadyListed(address token);

    /// @notice There are MAX_LISTED already.
    error TooManyListed();

    /// @notice More decimals than 18.
    error InvalidDecimals(address token, uint8 decimals);

    /// @notice An amount of nothing.
    error ZeroAmount();

    /// @notice The vault holds less collateral.
    error InsufficientCollateral(address vault, address asset, uint256 held, uint256 amount);

    /// @notice The vault owes less.
    error RepaysTooMuch(address vault, address currency, uint256 owed, uint256 amount);

    /// @notice All debt in this currency would exceed its ceiling.
    error DebtCeilingExceeded(address currency, uint256 debt, uint256 ceiling);

    /// @notice The vault's health would fall below MINIMUM_HEALTH.
    error HealthTooLow(address vault, uint256 health);

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants LIQUIDATOR_ROLE, lists assets and currencies, sets ceilings.
    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    // -- vaults ------------------------------------------------------------------------------------------------------

    /// @notice Put `amount` base units of `asset` into the caller's vault. The caller approved the ledger for them.
    /// @dev Refused: NotListed, ZeroAmount, and what the token refuses.
    function depositCollateral(address asset, uint256 amount) external nonReentrant {
        if (_assets[asset].unit == 0) revert NotListed(asset);
        if (amount == 0) revert ZeroAmount();
        if (!isVault[msg.sender]) {
            isVault[msg.sender] = true;
            _vaultList.push(msg.sender);
            emit VaultOpened(msg.sender);
        }
        collateralOf[msg.sender][asset] += amount;
        totalCollateral[asset] += amount;
        emit CollateralDeposited(msg.sender, asset, amount);
        IERC20(asset).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Take `amount` base units of `asset` out of the caller's vault.
    /// @dev Refused: ZeroAmount, InsufficientCollateral, HealthTooLow; with debt also what the price oracle refuses.
    function withdrawCollateral(address asset, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _takeCollateral(msg.sender, asset, amount);
        _requireHealth(msg.sender);
        emit CollateralWithdrawn(msg.sender, asset, amount);
        IERC20(asset).safeTransfer(msg.sender, amount);
    }

    /// @notice Borrow `amount` base units of `currency` against the caller's vault.
    /// @dev Refused: NotListed, ZeroAmount, DebtCeilingExceeded, HealthTooLow, what the price oracle refuses, and more
    /// than the ledger has to lend (the token's ERC20InsufficientBalance).
    function drawDebt(address currency, uint256 amount) external nonReentrant {
        if (_currencies[currency].unit == 0) revert NotListed(currency);
        if (amount == 0) revert ZeroAmount();
        uint256 debt = totalDebt[currency] + amount;
        if (debt > debtCeiling[currency]) revert DebtCeilingExceeded(currency, debt, debtCeiling[currency]);
        totalDebt[currency] = debt;
        debtOf[msg.sender][currency] += amount;
        _requireHealth(msg.sender);
        emit DebtDrawn(msg.sender, currency, amount);
        IERC20(currency).safeTransfer(msg.sender, amount);
    }

    /// @notice Repay `amount` base units of a vault's debt. Anyone may, who approved the ledger for them.
    /// @dev Refused: ZeroAmount, RepaysTooMuch, and what the token refuses. Needs no price.
    function repayDebt(address vault, address currency, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _takeDebt(vault, currency, amount, msg.sender);
    }

    /// @inheritdoc ILedger
    /// @dev Refused: callers without LIQUIDATOR_ROLE (AccessControlUnauthorizedAccount), RepaysTooMuch,
    /// InsufficientCollateral, and what the tokens refuse. Whether the vault may be liquidated is the caller's to know.
    function seize(address vault, address currency, uint256 repaid, address asset, uint256 seized, address payer)
        external
        nonReentrant
        onlyRole(LIQUIDATOR_ROLE)
    {
        _takeCollateral(vault, asset, seized);
        emit CollateralSeized(vault, asset, payer, seized);
        _takeDebt(vault, currency, repaid, payer);
        IERC20(asset).safeTransfer(payer, seized);
    }

    // -- reads -------------------------------------------------------------------------------------------------------

    /// @inheritdoc ILedger
    /// @dev It answers also while a price is stale or frozen, so that vaults can be watched then. Without any price a
    /// debt is worth more than everything: health 0.
    function getVaultHealth(address vault) public view returns (uint256) {
        return _health(vault, false);
    }

    /// @inheritdoc ILedger
    function currentHealth(address vault) public view returns (uint256) {
        return _health(vault, true);
    }

    /// @inheritdoc ILedger
    /// @dev Reverts with NotListed, and with what the price oracle refuses.
    function collateralFor(address currency, uint256 amount, address asset) external view returns (uint256) {
        Currency storage listed = _currencies[currency];
        if (listed.unit == 0) revert NotListed(currency);
        if (_assets[asset].unit == 0) revert NotListed(asset);
        uint256 ounces = Math.mulDiv(amount, 1e36 / listed.unit, listed.oracle.price());
        return Math.mulDiv(ounces, _assets[asset].unit, _assets[asset].ounces);
    }

    /// @notice How many vaults were ever opened.
    function vaultCount() external view returns (uint256) {
        return _vaultList.length;
    }

    /// @notice Vaults in the order they were opened: `count` from number `start`, fewer at the end of the list.
    function vaults(uint256 start, uint256 count) public view returns (address[] memory page) {
        uint256 all = _vaultList.length;
        uint256 left = start < all ? all - start : 0;
        page = new address[](count < left ? count : left);
        for (uint256 i = 0; i < page.length; ++i) page[i] = _vaultList[start + i];
    }

    /// @notice The same vaults with the health of each, see `getVaultHealth`: thousands of vaults in a few calls.
    function vaultHealths(uint256 start, uint256 count)
        external
        view
        returns (address[] memory page, uint256[] memory healths)
    {
        page = vaults(start, count);
        healths = new uint256[](page.length);
        for (uint256 i = 0; i < page.length; ++i) healths[i] = getVaultHealth(page[i]);
    }

    /// @notice All assets.
    function assets() external view returns (address[] memory) {
        return _assetList;
    }

    /// @notice All currencies.
    function currencies() external view returns (address[] memory) {
        return _currencyList;
    }

    /// @notice Fine ounces (18 decimals) in one whole token of an asset; 0 for what is none.
    function ouncesOf(address asset) external view returns (uint256) {
        return _assets[asset].ounces;
    }

    /// @notice The oracle of a currency; the zero address for what is none.
    function oracleOf(address currency) external view returns (IXAUOracle) {
        return _currencies[currency].oracle;
    }

    // -- settings ----------------------------------------------------------------------------------------------------

    /// @notice List an asset, or change the fine ounces (18 decimals) in one whole token of it.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), ZeroAmount, AlreadyListed
    /// (as a currency), TooManyListed, InvalidDecimals.
    function setAsset(address asset, uint256 ounces) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (ounces == 0) revert ZeroAmount();
        if (_currencies[asset].unit != 0) revert AlreadyListed(asset);
        if (_assets[asset].unit == 0) _assets[asset].unit = _list(_assetList, asset);
        _assets[asset].ounces = ounces;
        emit AssetSet(asset, ounces);
    }

    /// @notice List a currency, or change the oracle that prices gold in it. It can be drawn once it has a ceiling.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), AlreadyListed (as an
    /// asset), TooManyListed, InvalidDecimals.
    function setCurrency(address currency, IXAUOracle oracle) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (_assets[currency].unit != 0) revert AlreadyListed(currency);
        if (_currencies[currency].unit == 0) _currencies[currency].unit = _list(_currencyList, currency);
        _currencies[currency].oracle = oracle;
        emit CurrencySet(currency, address(oracle));
    }

    /// @notice Set how much all vaults may owe in a currency. A ceiling below the debt stops new debt and nothing else.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), NotListed.
    function setDebtCeiling(address currency, uint256 ceiling) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (_currencies[currency].unit == 0) revert NotListed(currency);
        debtCeiling[currency] = ceiling;
        emit DebtCeilingSet(currency, ceiling);
    }

    // -- private -----------------------------------------------------------------------------------------------------

    /// @return unit Base units of one whole token.
    function _list(address[] storage list, address token) private returns (uint256 unit) {
        if (list.length == MAX_LISTED) revert TooManyListed();
        uint8 decimals = IERC20Metadata(token).decimals();
        if (decimals > 18) revert InvalidDecimals(token, decimals);
        list.push(token);
        return 10 ** decimals;
    }

    function _takeCollateral(address vault, address asset, uint256 amount) private {
        uint256 held = collateralOf[vault][asset];
        if (amount > held) revert InsufficientCollateral(vault, asset, held, amount);
        collateralOf[vault][asset] = held - amount;
        totalCollateral[asset] -= amount;
    }

    function _takeDebt(address vault, address currency, uint256 amount, address payer) private {
        uint256 owed = debtOf[vault][currency];
        if (amount > owed) revert RepaysTooMuch(vault, currency, owed, amount);
        debtOf[vault][currency] = owed - amount;
        totalDebt[currency] -= amount;
        emit DebtRepaid(vault, currency, payer, amount);
        IERC20(currency).safeTransferFrom(payer, address(this), amount);
    }

    function _requireHealth(address vault) private view {
        uint256 health = currentHealth(vault);
        if (health < MINIMUM_HEALTH) revert HealthTooLow(vault, health);
    }

    /// @dev Only the oracles of currencies that the vault owes are asked. Ounces owed have 36 decimals, so that a vault
    /// at exactly 110 % is not rounded below it.
    function _health(address vault, bool usable) private view returns (uint256) {
        uint256 owed;
        for (uint256 i = 0; i < _currencyList.length; ++i) {
            uint256 debt = debtOf[vault][_currencyList[i]];
            if (debt == 0) continue;
            Currency storage currency = _currencies[_currencyList[i]];
            uint256 price = usable ? currency.oracle.price() : currency.oracle.lastPrice();
            if (price == 0) return 0;
            owed += Math.mulDiv(debt, 1e54 / currency.unit, price);
        }
        if (owed == 0) return type(uint256).max;
        uint256 held;
        for (uint256 i = 0; i < _assetList.length; ++i) {
            Asset storage asset = _assets[_assetList[i]];
            held += Math.mulDiv(collateralOf[vault][_assetList[i]], asset.ounces, asset.unit);
        }
        return Math.mulDiv(held * 1e18, 1e18, owed);
    }
}
