/**
 * Credentials that can be told by their form alone, beyond the few that have rules of their own. Each is a literal start and what has
 * to follow it. INVARIANT: linear. All are looked for at the beginning of a word only, their first twenty characters are of a run,
 * and none can begin again within itself.
 */
const FORMATS = [
	// code and packages
	String.raw`gl(?:pat|ptt|dt|cbt|rt|soat|ft|imt|agent|oas|ffct)-[\w-]{20,}`,
	String.raw`GR1348941[\w-]{20}`,
	'npm_[A-Za-z0-9]{36}',
	'writ_[A-Za-z0-9]{49}',
	String.raw`pypi-AgE[\w-]{50,}`,
	'rubygems_[0-9a-f]{48}',
	'(?:CLOJARS|clojars)_[A-Za-z0-9]{60}',
	String.raw`dckr_(?:pat|oat)_[\w-]{20,}`,
	'AKCp[A-Za-z0-9]{60,}',
	'cmVmd[A-Za-z0-9]{59}',
	'ATBB[A-Za-z0-9]{28,}',
	String.raw`AT[AC]TT3[\w=-]{60,}`,
	'sq[apu]_[0-9a-f]{40}',
	'sntry[su]_[A-Za-z0-9+/=_-]{40,}',
	'lin_(?:api_[A-Za-z0-9]{40}|oauth_[0-9a-f]{64})',
	'PMAK-[0-9a-f]{24}-[0-9a-f]{34}',
	'API-[A-Z0-9]{26}(?![A-Z0-9])',
	// clouds and hosting
	'(?:A3T[A-Z0-9]|ABIA|ACCA)[A-Z2-7]{16}(?![A-Z0-9])',
	'LTAI[A-Za-z0-9]{16,20}(?![A-Za-z0-9])',
	String.raw`[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}`,
	'do[opr]_v1_[0-9a-f]{64}',
	String.raw`GOCSPX-[\w-]{28}`,
	String.raw`ya29\.[\w-]{30,}`,
	'v1\\.0-[0-9a-f]{24}-[0-9a-f]{146}',
	'f(?:o1_[A-Za-z0-9_-]{43}|m1[ar]_[A-Za-z0-9+/]{60,}|m2_[A-Za-z0-9+/]{60,})',
	'nfp_[A-Za-z0-9]{36}',
	'sbp_[0-9a-f]{40}',
	String.raw`sb_secret_[\w-]{20,}`,
	'tskey-[a-z]{2,12}-[A-Za-z0-9]{6,}-[A-Za-z0-9]{20,}',
	'dapi[0-9a-f]{32}(?![0-9a-f])',
	'4b1d[A-Za-z0-9]{38}(?![A-Za-z0-9])',
	String.raw`pscale_(?:tkn|pw|oauth)_[\w.=-]{32,}`,
	'pul-[0-9a-f]{40}',
	'pnu_[A-Za-z0-9]{36}',
	String.raw`[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}`,
	String.raw`hv[sbr]\.[\w-]{24,}`,
	String.raw`dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,}`,
	'AGE-SECRET-KEY-1[0-9A-Z]{58}',
	'ops_eyJ[A-Za-z0-9+/]{100,}',
	'A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}',
	// models
	'hf_[A-Za-z0-9]{30,}',
	'api_org_[A-Za-z0-9]{30,}',
	'gsk_[A-Za-z0-9]{40,}',
	'pplx-[A-Za-z0-9]{40,}',
	'r8_[A-Za-z0-9]{37}',
	'xai-[A-Za-z0-9]{60,}',
	// messages and mail
	String.raw`SG\.[\w-]{16,32}\.[\w-]{16,64}`,
	'(?<![-_])key-[0-9a-f]{32}(?![0-9a-f])',
	String.raw`[0-9a-f]{32}-us\d{1,2}(?!\d)`,
	'SK[0-9a-f]{32}(?![0-9a-f])',
	'xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}',
	String.raw`xapp-\d-[A-Z0-9]{8,}-\d{8,}-[0-9a-f]{32,}`,
	String.raw`\d{8,10}:AA[\w-]{33}`,
	String.raw`[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}`,
	// money and shops
	'shp(?:at|ca|pa|ss|ua)_[0-9a-fA-F]{32}',
	String.raw`sq0(?:atp|csp)-[\w-]{22,43}`,
	String.raw`EAAA[\w-]{60}`,
	'whsec_[A-Za-z0-9+/=]{32,}',
	'FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,}(?:-X)?',
	'EZ[AT]K[A-Za-z0-9]{54}',
	'shippo_(?:live|test)_[0-9a-f]{40}',
	String.raw`duffel_(?:test|live)_[\w=-]{43}`,
	'(?:live|test)_[0-9a-f]{35}(?![0-9a-f])',
	// everything else
	'EAA[MC][A-Za-z0-9]{100,}',
	String.raw`ntn_\d{11}[A-Za-z0-9]{35}`,
	'secret_[A-Za-z0-9]{43}(?![A-Za-z0-9])',
	'NRAK-[A-Z0-9]{27}',
	String.raw`NR(?:II|IQ|RA)-[\w-]{30,}`,
	'glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}',
	'glc_[A-Za-z0-9+/]{32,}',
	'dt0[cs]\\d{2}\\.[A-Z0-9]{8,24}\\.[A-Z0-9]{64}',
	String.raw`fio-u-[\w=-]{64}`,
	String.raw`tfp_[\w.=-]{40,}`,
	'aio_[A-Za-z0-9]{28}',
	String.raw`pat[A-Za-z0-9]{14}\.[0-9a-f]{64}`,
	String.raw`CFPAT-[\w-]{43}`,
	String.raw`fig[dour]_[\w-]{40,}`,
	String.raw`sk\.eyJ[\w-]{20,}\.[\w-]{20,}`,
	'rdme_[a-z0-9]{70}',
	String.raw`tk-us-[\w-]{48}`,
	'p8e-[A-Za-z0-9]{32}',
	's-s4t2(?:ud|af)-[0-9a-f]{64}',
	'[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk',
	'dnkey-[a-z0-9=_-]{26}-[a-z0-9=_-]{52}',
	String.raw`sl\.(?:u\.)?[\w=-]{130,}`,
	'ZXlK[A-Za-z0-9+/_-]{60,}', // a JWT in base64
] as const;

/**
 * A run of characters that could hold one: all but a few texts are mostly shorter words, over which this passes quickly. The formats are
 * looked for within runs alone.
 */
const RUN = /(?<![\w.~:+/=-])[\w.~:+/=-]{20,}/g;
const TOKEN = new RegExp(`(?<![A-Za-z0-9])(?:${FORMATS.join('|')})`, 'g');
const SHORTEST = 20;
/** Digests and UUIDs, the most frequent runs of all. */
const DIGEST = /^[0-9a-f-]+$/;

/** The text without them; `put` says what stands in the place of one. The same text when there is none. */
export function replaceTokens(text: string, put: () => string): string {
	if (text.length < SHORTEST) return text;
	return text.replace(RUN, (run, offset: number) => {
		if (DIGEST.test(run)) return run;
		const skip = startOf(run, text[offset - 1]);
		return run.slice(0, skip) + run.slice(skip).replace(TOKEN, put);
	});
}

/** Where the first word of a run begins: `\n` and `%3D` stand for characters of their own. */
function startOf(run: string, before: string | undefined): number {
	if (before === '\\') return /^[nrt]/.test(run) ? 1 : 0;
	return before === '%' && /^[0-9A-Fa-f]{2}/.test(run) ? 2 : 0;
}

/** Addresses that let whoever knows them post. */
export const WEBHOOK = [
	String.raw`https:\/\/hooks\.slack\.com\/(?:services|workflows|triggers)\/[A-Za-z0-9+/]{20,}`,
	String.raw`https:\/\/(?:[a-z]{1,10}\.)?discord(?:app)?\.com\/api\/(?:v\d{1,2}\/)?webhooks\/\d{17,20}\/[\w-]{60,}`,
	String.raw`https:\/\/[a-z0-9-]{1,63}\.webhook\.office\.com\/webhookb2\/[A-Za-z0-9@/-]{80,}`,
].join('|');
