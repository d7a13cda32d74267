import { createHmac, timingSafeEqual } from 'node:crypto';

/** How far the signature's time may be from this machine's, either way, as Standard Webhooks have it. */
export const TOLERANCE_S = 300;

export interface Signed {
	id: string;
	/** Unix seconds, as the header has it. */
	timestamp: string;
	/** The header: `v1,<base64>`, or several of them with spaces between. */
	signature: string;
	/** The body as it came, byte for byte. */
	body: Buffer;
}

/**
 * Checks a signature of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body` with the bytes of a `whsec_` secret.
 *
 * Returns what is wrong, or null. The comparison takes the same time for each wrong signature.
 */
export function signatureFault(
	{ id, timestamp, signature, body }: Signed,
	secret: string,
	nowS: number,
): string | null {
	if (!id || !timestamp || !signature) {
		return 'The request is not signed: webhook-id, webhook-timestamp or webhook-signature is missing.';
	}
	if (!/^\d{1,12}$/.test(timestamp) || Math.abs(nowS - Number(timestamp)) > TOLERANCE_S) {
		return `The signature's time is more than ${TOLERANCE_S} s away from this clock.`;
	}
	const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
	const wanted = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
	const matches = signature
		.split(' ')
		.filter((one) => one.startsWith('v1,'))
		.map((one) => Buffer.from(one.slice('v1,'.length), 'base64'))
		.filter((given) => given.length === wanted.length && timingSafeEqual(given, wanted));
	return matches.length > 0 ? null : 'The signature is not one of this secret and this body.';
}
