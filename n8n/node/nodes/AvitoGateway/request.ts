import {
	NodeApiError,
	NodeOperationError,
	type IDataObject,
	type IExecuteFunctions,
	type IHookFunctions,
	type IHttpRequestMethods,
	type IHttpRequestOptions,
	type ILoadOptionsFunctions,
	type IN8nHttpFullResponse,
	type JsonObject,
} from 'n8n-workflow';

import { isSuccess, problemOf } from './problem';

export const CREDENTIALS = 'avitoGatewayApi';
/** What the gateway needs at most to answer a request that does not wait for an outcome: reads wait for the limit. */
const ANSWER_S = 60;

type Context = IExecuteFunctions | IHookFunctions | ILoadOptionsFunctions;

export interface Ask {
	method?: IHttpRequestMethods;
	path: string;
	qs?: IDataObject;
	body?: IDataObject | Buffer;
	headers?: Record<string, string>;
	account?: string;
	waitSeconds?: number;
	itemIndex?: number;
}

/**
 * Asks the gateway and returns the body of its success.
 *
 * Throws a `NodeApiError`: with the problem's title and detail, and its code and fields in the context, when something
 * else than a success is answered; n8n's own when nothing is.
 */
export async function ask(
	context: Context,
	{ method = 'GET', path, qs = {}, body, headers = {}, account, waitSeconds = 0, itemIndex }: Ask,
): Promise<IDataObject> {
	const { statusCode, body: answer } = await send(context, {
		method,
		url: path,
		qs: waitSeconds > 0 ? { ...qs, wait: waitSeconds } : qs,
		body,
		headers: account ? { ...headers, 'X-Avito-Account': account } : headers,
		json: true,
		returnFullResponse: true,
		ignoreHttpStatusErrors: true,
		timeout: (ANSWER_S + waitSeconds) * 1000,
	});
	if (isSuccess(statusCode, answer)) return answer as IDataObject;
	throw apiError(context, statusCode, answer, itemIndex);
}

/** Returns `/info`: which accounts there are, and where their messages go. */
export async function info(context: Context): Promise<IDataObject & { accounts: IDataObject[] }> {
	const { statusCode, body } = await send(context, {
		url: '/info',
		json: true,
		returnFullResponse: true,
		ignoreHttpStatusErrors: true,
		timeout: ANSWER_S * 1000,
	});
	const found = body as IDataObject | null;
	if (statusCode === 200 && Array.isArray(found?.accounts)) {
		return found as IDataObject & { accounts: IDataObject[] };
	}
	throw apiError(context, statusCode, body);
}

function apiError(
	context: Context,
	status: number,
	body: unknown,
	itemIndex?: number,
): NodeApiError {
	const { message, description, httpCode, code, fields } = problemOf(status, body);
	const shown = { message, description, httpCode, itemIndex };
	const error = new NodeApiError(context.getNode(), (body ?? {}) as JsonObject, shown);
	Object.assign(error.context, { code, fields });
	return error;
}

async function send(context: Context, options: IHttpRequestOptions): Promise<IN8nHttpFullResponse> {
	const { baseUrl } = await context.getCredentials<{ baseUrl: string }>(CREDENTIALS);
	if (!/^https?:\/\//.test(baseUrl)) {
		throw new NodeOperationError(
			context.getNode(),
			'The Base URL of the credentials must begin with http:// or https://',
		);
	}
	const answer: unknown = await context.helpers.httpRequestWithAuthentication.call(
		context,
		CREDENTIALS,
		{ ...options, baseURL: baseUrl.replace(/\/+$/, '') },
	);
	return answer as IN8nHttpFullResponse;
}
