import type {
	IAuthenticateGeneric,
	Icon,
	ICredentialTestRequest,
	ICredentialType,
	INodeProperties,
} from 'n8n-workflow';

export class AvitoGatewayApi implements ICredentialType {
	name = 'avitoGatewayApi';

	displayName = 'Avito Gateway API';

	icon: Icon = {
		light: 'file:../icons/avitoGateway.svg',
		dark: 'file:../icons/avitoGateway.dark.svg',
	};

	documentationUrl =
		'https://github.com/avito-gateway/avito-gateway/tree/main/n8n/node#credentials';

	properties: INodeProperties[] = [
		{
			displayName: 'Base URL',
			name: 'baseUrl',
			type: 'string',
			default: 'http://gateway:8765',
			placeholder: 'e.g. http://gateway:8765',
			required: true,
			description: 'Where n8n reaches the gateway, without /api',
		},
		{
			displayName: 'API Key',
			name: 'apiKey',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			description: "The gateway's API_KEY. Leave it empty if the gateway has none.",
		},
		{
			displayName: 'Signing Secret',
			name: 'signingSecret',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			placeholder: 'whsec_...',
			description:
				"The gateway's N8N_WEBHOOK_SECRET. With it the trigger takes only what the gateway has signed.",
		},
	];

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: {
			headers: {
				'X-API-Key': '={{$credentials.apiKey}}',
			},
		},
	};

	test: ICredentialTestRequest = {
		request: {
			baseURL: '={{$credentials.baseUrl.replace(/[/]+$/, "")}}',
			url: '/info',
		},
	};
}
